// The plan with its reasons. Facts and choices can be corrected, and the plan follows at once.

import { element } from "regzoo/elements";
import { request } from "./server.js";
import { button, choiceField, failure, recipe, scrolling, warningBox } from "./widgets.js";

const NAMES = {
  "modality.0": "Modality of the fixed image",
  "modality.1": "Modality of the moving image",
  anatomy: "Anatomy",
  pairing: "Patients",
  model: "Model",
  effort: "Effort",
};
const TEXTS = {
  ct: "CT", cbct: "cone-beam CT", mr: "MR", us: "ultrasound", pet: "PET",
  inter: "two patients", intra: "one patient",
  fast: "fast", normal: "normal", best: "best of several candidates",
};
/** Facts that the reasons of a plan name by the flags of the command. */
const FLAGS = { "--modality.0": "modality of the fixed image", "--modality.1": "modality of the moving image", "--anatomy": "anatomy", "--pairing": "patients", "--model": "model", "--effort": "effort" };
const WAIT = 150; // milliseconds in which several changes become one request

export class PlanPanel {
  /** `wanted` is the request, which this panel changes; `changed` is called after a correction. */
  constructor(context, wanted, changed, signal) {
    Object.assign(this, { context, wanted, changed, signal });
    this.plan = null;
    this.inputs = {};
    this.fields = element("div", { className: "fields" });
    this.answer = element("div", { className: "answer" });
    this.start = button("Register", () => this.register(), "primary");
    this.problem = element("div", {});
    this.root = element(
      "section",
      { className: "plan", "aria-labelledby": "plan-heading" },
      element("h2", { id: "plan-heading" }, "Plan"),
      this.fields,
      this.answer,
      this.problem,
      element("p", { className: "ways" }, this.start),
    );
    this.show("Choose both images to see the plan.");
  }

  /** Plan again for these inputs, or for the same. */
  update(inputs = this.inputs) {
    this.inputs = inputs;
    clearTimeout(this.timer);
    this.stop?.abort();
    this.start.disabled = true;
    this.problem.replaceChildren();
    if (!this.wanted.fixed || !this.wanted.moving) {
      this.plan = null;
      this.fields.replaceChildren();
      this.show("Choose both images to see the plan.");
      return;
    }
    this.root.dataset.state = "planning";
    if (!this.plan) this.show("The images are being measured.");
    this.timer = setTimeout(() => this.ask(), WAIT);
  }

  show(text) {
    this.start.disabled = true;
    delete this.root.dataset.state;
    this.answer.replaceChildren(element("p", { className: "soft" }, text));
  }

  async ask() {
    const stop = new AbortController();
    this.stop = stop;
    this.signal.addEventListener("abort", () => stop.abort(), { signal: stop.signal });
    try {
      const plan = await request("/api/plan", { method: "POST", json: this.wanted, signal: stop.signal });
      this.render(plan, this.plan);
      this.plan = plan;
      this.start.disabled = false;
      this.root.dataset.state = "planned";
    } catch (error) {
      if (error.name === "AbortError") return;
      this.root.dataset.state = "refused";
      this.answer.replaceChildren(failure(withoutFlags(error.message)));
      if (!this.fields.childElementCount) this.renderFields({ beliefs: [], model: null });
    }
  }

  render(plan, before) {
    this.renderFields(plan);
    const settings = plan.settings.map(({ name, value, because }) => {
      const old = before?.settings.find((one) => one.name === name);
      const isNew = before !== null && JSON.stringify(old?.value) !== JSON.stringify(value);
      const shown = `${inWords(value)}${isNew ? " (changed)" : ""}`;
      return element("tr", { className: isNew ? "new" : "" }, element("td", { className: "key" }, name),
        element("td", {}, shown), element("td", {}, withoutFlags(because)));
    });
    const head = element("tr", {}, ...["Setting", "Value", "Reason"].map((text) => element("th", { scope: "col" }, text)));
    const open = this.answer.querySelector("details")?.open ?? false;
    this.answer.replaceChildren(
      element("p", { className: "reason" }, element("b", {}, `${plan.title}, effort ${plan.effort}`), `: ${withoutFlags(plan.because)}`),
      ...(plan.cautions.length ? [warningBox("check", plan.cautions.map(withoutFlags))] : []),
      element("details", { open }, element("summary", {}, "All settings and their reasons"),
        scrolling(element("table", { className: "settings" }, head, ...settings), "Settings of the plan")),
      element("details", {}, element("summary", {}, "The same as a command or in Python"), recipe(plan, this.context.say)),
    );
    if (before) this.context.say(`The plan was made again: ${plan.title}, effort ${plan.effort}.`);
  }

  /** Show the facts and choices; the list that is in use stays where it is. */
  renderFields(plan) {
    const { choices } = this.context.app;
    const focused = this.fields.contains(document.activeElement) ? document.activeElement.name : null;
    const belief = Object.fromEntries(plan.beliefs.map((one) => [one.name, one]));
    const texts = (names) => names.map((name) => [name, TEXTS[name] ?? name]);
    const models = choices.models.map(({ name, title, ready, reason }) =>
      [name, ready ? title : `${title}: ${reason}`, !ready]);
    const fields = [
      this.field("modality.0", texts(choices.modalities), belief),
      this.field("modality.1", texts(choices.modalities), belief),
      this.field("anatomy", texts(choices.anatomies), belief),
      this.field("pairing", texts(choices.pairings), belief),
      this.field("model", models, belief, "chosen by the plan"),
      this.field("effort", texts(choices.efforts), belief, "normal"),
    ];
    if (this.wanted.volume !== undefined) fields.push(this.volumeField());
    this.fields.replaceChildren(...fields);
    if (focused) this.fields.querySelector(`[name="${focused}"]`)?.focus();
  }

  /** Return a list that corrects one fact, with what is believed without a correction. */
  field(name, options, beliefs, unchosen) {
    const belief = beliefs[name];
    const own = this.wish(name);
    let none = unchosen ?? "not known";
    if (!own && belief?.value) none = `${TEXTS[belief.value] ?? belief.value} (${belief.confidence})`;
    else if (own && !unchosen) none = "as detected";
    const made = choiceField(NAMES[name], [["", none], ...options], own ?? "", (value) => {
      this.setWish(name, value || null);
      this.changed();
      this.update();
    });
    made.querySelector("select").name = name;
    const reason = own ? "corrected by you" : belief?.evidence;
    if (!reason) return made;
    const id = `because-${name}`;
    made.querySelector("select").setAttribute("aria-describedby", id);
    return element("div", {}, made, element("span", { className: "caption", id }, reason));
  }

  volumeField() {
    const most = Math.max(...Object.values(this.inputs).map((input) => input?.image?.volumes ?? 1));
    const number = element("input", { type: "number", min: 0, max: most - 1, value: this.wanted.volume, name: "volume" });
    number.addEventListener("change", () => {
      this.wanted.volume = Math.min(Math.max(Math.round(Number(number.value) || 0), 0), most - 1);
      this.changed();
      this.update();
    });
    return element("label", { className: "field" }, element("span", {}, `Volume of the 4-D image, 0 to ${most - 1}`), number);
  }

  wish(name) {
    return name.startsWith("modality.") ? this.wanted.modality?.[name.slice(9)] : this.wanted[name];
  }

  setWish(name, value) {
    const target = name.startsWith("modality.") ? (this.wanted.modality ??= {}) : this.wanted;
    const key = name.startsWith("modality.") ? name.slice(9) : name;
    if (value) target[key] = value;
    else delete target[key];
    if (this.wanted.modality && !Object.keys(this.wanted.modality).length) delete this.wanted.modality;
  }

  async register() {
    this.start.disabled = true;
    try {
      const job = await request("/api/jobs", { method: "POST", json: this.wanted, signal: this.signal });
      location.hash = `#/jobs/${encodeURIComponent(job.id)}`;
    } catch (error) {
      if (error.name === "AbortError") return;
      this.problem.replaceChildren(failure(error.message));
      this.start.disabled = false;
    }
  }
}

const withoutFlags = (text) => text.replace(/--[a-z]+(\.\d)?/g, (flag) => FLAGS[flag] ?? flag);

function inWords(value) {
  if (value === true) return "yes";
  if (value === false) return "no";
  return value !== null && typeof value === "object" ? JSON.stringify(value) : String(value);
}
