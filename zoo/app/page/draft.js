// The request for a registration in the address of the page, so that a reload finds it again.

/** The inputs of a request. The first two are needed. */
export const ROLES = {
  fixed: "Fixed image",
  moving: "Moving image",
  fixed_labels: "Labels of the fixed image",
  moving_labels: "Labels of the moving image",
  fixed_mask: "Mask of the fixed image",
  moving_mask: "Mask of the moving image",
  fixed_points: "Landmarks of the fixed image",
  moving_points: "Landmarks of the moving image",
};
const WISHES = ["points_space", "anatomy", "pairing", "model", "effort"];

/** Return the request that the parameters of an address hold. */
export function requestOf(params) {
  const request = {};
  for (const key of [...Object.keys(ROLES), ...WISHES]) {
    if (params.get(key)) request[key] = params.get(key);
  }
  if (params.get("volume")) request.volume = Number(params.get("volume"));
  for (const slot of ["0", "1"]) {
    const value = params.get(`modality.${slot}`);
    if (value) request.modality = { ...request.modality, [slot]: value };
  }
  return request;
}

/** Return the address of the page on which a request is made or changed. */
export function addressOf({ modality, ...request }) {
  const params = new URLSearchParams();
  for (const [key, value] of Object.entries(request)) {
    if (value !== null && value !== undefined) params.set(key, value);
  }
  for (const [slot, value] of Object.entries(modality ?? {})) params.set(`modality.${slot}`, value);
  const text = params.toString();
  return text ? `#/new?${text}` : "#/new";
}
