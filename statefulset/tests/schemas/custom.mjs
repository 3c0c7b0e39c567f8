// Checks custom resources by the types and validators that were made of their definitions: the validators know patterns and
// bounds, the compiler refuses fields that do not exist. Run it where node_modules is, from standard input, so that imports are
// looked for there: `node --input-type=module - FILE.json < custom.mjs`.

import { spawnSync } from "node:child_process";
import { readFileSync, rmSync, writeFileSync } from "node:fs";

const PACKAGES = {
  "argoproj.io": "argo-cd",
  "gateway.networking.k8s.io": "gateway-api",
  "kustomize.toolkit.fluxcd.io": "flux-cd",
  "source.toolkit.fluxcd.io": "flux-cd",
  "monitoring.coreos.com": "prometheus-operator",
};

const [file] = process.argv.slice(2);
const objects = JSON.parse(readFileSync(file, "utf8"));
const source = ["export {};"];

for (const [at, object] of objects.entries()) {
  const name = `${object.kind} ${object.metadata?.name}`;
  const group = object.apiVersion.split("/")[0];
  const model = `@kubernetes-models/${PACKAGES[group]}/${object.apiVersion}/${object.kind}`;
  let models;
  try {
    models = await import(model);
  } catch {
    console.log(`${name}: ${object.apiVersion} does not exist`);
    continue;
  }
  try {
    new models[object.kind](object).validate();
  } catch (error) {
    console.log(`${name}: ${error.message}`);
  }
  source.push(`import type { I${object.kind} as T${at} } from "${model}";`);
  source.push(`export const object${at}: T${at} = ${JSON.stringify(object)}; // ${name}`);
}

const typed = file.replace(/\.json$/, ".ts");
writeFileSync(typed, source.join("\n"));
const options = ["--noEmit", "--strict", "--skipLibCheck", "--module", "nodenext", "--moduleResolution", "nodenext"];
const compiled = spawnSync("node_modules/.bin/tsc", [...options, "--target", "es2022", typed], { encoding: "utf8" });
rmSync(typed);
process.stdout.write(compiled.stdout);
