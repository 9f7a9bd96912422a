// The fragment shader with which NiiVue draws a slice. It compares two images voxel by voxel, so
// that a change of the view or of the window needs no new textures.

import { DIFFERENCE, FIXED, FOLDED, MOVING, VOLUME_CHANGE } from "regzoo/colours";

export const VIEWS = {
  fixed: 0,
  moving: 1,
  fade: 2,
  swipe: 3,
  checkerboard: 4,
  overlay: 5,
  difference: 6,
};

const vec3 = (colour) => `vec3(${colour.map((value) => value.toFixed(4)).join(", ")})`;
const table = (name, colours) =>
  `const vec3 ${name}[${colours.length}] = vec3[](${colours.map(vec3).join(", ")});
vec3 ${name}At(float share) {
  float place = clamp(share, 0.0, 1.0) * ${(colours.length - 1).toFixed(1)};
  int k = min(int(place), ${colours.length - 2});
  return mix(${name}[k], ${name}[k + 1], place - float(k));
}`;

// `images` has the codes of the fixed, the moving and the warped image and of the Jacobian. `side`
// is 1 for the moving and 2 for the warped image. Lengths are in mm along the axes of the grid.
// The planes are shown from the left, 0, to the right, 1, against the direction of their first axis;
// `middle` is the place at their centre.
export const FRAGMENT = `#version 300 es
precision highp int;
precision highp float;
uniform highp sampler3D images;
uniform highp usampler3D labels;
uniform highp sampler3D shift;
uniform highp sampler2D levels;
uniform int axCorSag;
uniform int view;
uniform int side;
uniform int label;
uniform float share;
uniform float zoom;
uniform vec3 middle;
uniform float square;
uniform vec4 windows;
uniform vec3 size;
uniform float outlines;
uniform float lines;
uniform float lineDistance;
uniform float change;
uniform float changeLimit;
uniform float pixel;
in vec3 texPos;
out vec4 color;

const vec3 FIXED = ${vec3(FIXED)};
const vec3 MOVING = ${vec3(MOVING)};
const vec3 FOLDED = ${vec3(FOLDED)};
${table("volumeChange", VOLUME_CHANGE)}
${table("difference", DIFFERENCE)}

float grey(float code, int row) {
  float place = code * 255.0;
  int low = int(place);
  float a = texelFetch(levels, ivec2(low, row), 0).r;
  float b = texelFetch(levels, ivec2(min(low + 1, 255), row), 0).r;
  float value = mix(a, b, place - float(low));
  vec2 window = row == 0 ? windows.xy : windows.zw;
  return clamp((value - window.x) * window.y, 0.0, 1.0);
}

vec2 inPlane(vec3 v) {
  return axCorSag == 0 ? v.xy : (axCorSag == 1 ? v.xz : v.yz);
}

bool differs(uint here, uint there) {
  return label == 0 ? here != there : (here == uint(label)) != (there == uint(label));
}

bvec2 edges(vec3 step) {
  uvec4 here = texture(labels, texPos);
  uvec4 there = texture(labels, texPos + step);
  uint a = side == 1 ? here.g : here.b;
  uint b = side == 1 ? there.g : there.b;
  return bvec2(differs(here.r, there.r), differs(a, b));
}

bvec2 either(bvec2 a, bvec2 b) {
  return bvec2(a.x || b.x, a.y || b.y);
}

vec3 compared(float f, float m) {
  float across = 0.5 - inPlane(texPos - middle).x * zoom;
  vec2 cell = floor(inPlane(texPos * size) / square);
  vec3 swiped = vec3(across < share ? f : m);
  float seam = abs(across - share) / max(fwidth(across), 1e-6);
  if (view == 0) return vec3(f);
  if (view == 1) return vec3(m);
  if (view == 2) return vec3(mix(f, m, share));
  if (view == 3) return seam < pixel ? FIXED : swiped;
  if (view == 4) return vec3(mod(cell.x + cell.y, 2.0) < 0.5 ? f : m);
  if (view == 5) return vec3(1.0, 0.55, 0.0) * f + vec3(0.0, 0.45, 1.0) * m;
  return differenceAt(abs(f - m));
}

void main() {
  vec4 codes = texture(images, texPos);
  vec3 shown = compared(grey(codes.r, 0), grey(side == 1 ? codes.g : codes.b, 1));
  vec3 dx = dFdx(texPos) * pixel;
  vec3 dy = dFdy(texPos) * pixel;

  if (change > 0.0) {
    ivec3 last = textureSize(images, 0) - 1;
    ivec3 voxel = clamp(ivec3(texPos * vec3(last + 1)), ivec3(0), last);
    float code = texelFetch(images, voxel, 0).a * 255.0;
    float power = ((code - 1.0) / 254.0 * 2.0 - 1.0) * changeLimit;
    shown = mix(shown, code < 0.5 ? FOLDED : volumeChangeAt(0.5 + 0.5 * power), change);
  }
  if (lines > 0.0) {
    vec2 place = inPlane(texPos * size + texture(shift, texPos).xyz) / lineDistance;
    vec2 width = max(fwidth(place), vec2(1e-6));
    vec2 away = abs(fract(place - 0.5) - 0.5) / width;
    vec2 cover = clamp(0.5 * pixel + 0.5 - away, 0.0, 1.0);
    shown = mix(shown, vec3(1.0, 1.0, 0.75), lines * max(cover.x, cover.y));
  }
  if (outlines > 0.0) {
    bvec2 edge = either(either(edges(dx), edges(-dx)), either(edges(dy), edges(-dy)));
    if (edge.x && edge.y) shown = vec3(1.0);
    else if (edge.x) shown = FIXED;
    else if (edge.y) shown = MOVING;
  }
  color = vec4(shown, 1.0);
}`;
