// A page per patient: who, which samples, every population beside the other patients of the arm.
const patients = dataOf("patients-data");
const patientChoice = document.getElementById("patient");

function factsList(facts) {
  return make("dl", { class: "facts" }, facts.flatMap(([name, value]) =>
    [make("dt", {}, name), make("dd", {}, inWords(value))]));
}

function simpleTable(label, heads, rows) {
  return make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": label },
    make("table", {}, [
      make("caption", { class: "hidden" }, label),
      make("thead", {}, make("tr", {}, heads.map((head) => make("th", { scope: "col" }, head)))),
      make("tbody", {}, rows.map(([first, ...rest]) => make("tr", {}, [
        make("th", { scope: "row" }, first), ...rest.map((cell) => make("td", {}, cell)),
      ]))),
    ]));
}

function samplesTable(patient) {
  const names = [...new Set(patient.samples.flatMap((sample) => sample.facts.map(([name]) => name)))];
  const rows = names.map((name) => [name, ...patient.samples.map((sample) => {
    const found = sample.facts.find(([other]) => other === name);
    return found ? inWords(found[1]) : "";
  })]);
  return simpleTable(`Samples of ${patient.id}`, ["", ...patient.samples.map((sample) => sample.id)], rows);
}

// Which place the patient's change has among those of the same treatment: 1 is the largest fall.
function placeOfChange(series, treatment, unit, level) {
  const change = (other) => {
    const [before, after] = [series.percent[other][0], series.percent[other][level]];
    return before > 0 && after !== null ? after / before : null;
  };
  const own = change(unit);
  if (own === null) return "";
  const all = explorer.treatments[treatment].map(change).filter((value) => value !== null);
  return `× ${inWords(own)} (${1 + all.filter((value) => value < own).length} of ${all.length})`;
}

function populationsTable(unit) {
  const index = explorer.units.indexOf(unit);
  const treatment = Object.keys(explorer.treatments).find((name) => explorer.treatments[name].includes(index));
  const leading = new Map();
  explorer.series.forEach((series) => {
    if (series.percent && !leading.has(series.name)) leading.set(series.name, series);
  });
  const rows = [...leading.values()].filter((series) => series.percent[index].some((value) => value !== null))
    .map((series) => [
      `${series.population}, % of ${series.parent}`,
      ...series.percent[index].map(inWords),
      ...explorer.levels.slice(1).map((_, level) => placeOfChange(series, treatment, index, level + 1)),
    ]);
  const heads = ["Population", ...explorer.levels,
    ...explorer.levels.slice(1).map((level) => `${level} / ${explorer.levels[0]} (place in the arm)`)];
  return simpleTable(`Populations of ${unit}`, heads, rows);
}

function writePatient() {
  const patient = patients[patientChoice.selectedIndex];
  const parts = [make("h3", {}, `Patient ${patient.id}`)];
  if (patient.facts.length) parts.push(factsList(patient.facts));
  patient.doubts.forEach((said) => parts.push(make("p", { class: "caution" }, said)));
  if (patient.gates) {
    parts.push(make("p", {}, make("a", { href: encodeURI(patient.gates) }, "Gates of all visits, side by side (PDF)")));
  }
  parts.push(make("h4", {}, "Samples"), samplesTable(patient));
  explorer.units.filter((unit) => unit === patient.id || unit.startsWith(patient.id + " ")).forEach((unit) => {
    parts.push(make("h4", {}, `Populations${unit === patient.id ? "" : " of " + unit}`), populationsTable(unit));
  });
  parts.push(make("p", { class: "soft" },
    "× is the ratio of the percentages; its place among the patients of the treatment counts from the largest fall."));
  document.getElementById("patient-page").replaceChildren(...parts);
}

function showPatient(unit) {
  const place = patients.findIndex((patient) => unit === patient.id || unit.startsWith(patient.id + " "));
  if (place < 0) return;
  patientChoice.selectedIndex = place;
  writePatient();
  document.getElementById("patients").scrollIntoView();
}

if (patientChoice && patients.length) {
  patientChoice.replaceChildren(...patients.map((patient) => make("option", {}, patient.id)));
  patientChoice.addEventListener("change", writePatient);
  document.querySelectorAll("button[data-step]").forEach((button) => button.addEventListener("click", () => {
    const next = patientChoice.selectedIndex + Number(button.dataset.step);
    patientChoice.selectedIndex = (next + patients.length) % patients.length;
    writePatient();
  }));
  writePatient();
}
