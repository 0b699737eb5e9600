// Starts Swagger UI. A file of its own, so that the page needs no inline script.
"use strict";

const KEY = "Idempotency-Key";
const HINT = " **On this page:** leave it empty, and each Execute gets a fresh one, which the curl command shows; " +
  "fill one in to see what a retry does.";

function freshKey() {
  // crypto.randomUUID exists only on https and on this machine.
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function pathsWithKey(spec) {
  const reference = `#/components/parameters/${KEY}`;
  const takesKey = (item) => item.post?.parameters.some((one) => one.$ref === reference);
  return new Set(Object.keys(spec.paths).filter((path) => takesKey(spec.paths[path])));
}

function addKey(request, paths) {
  const url = new URL(request.url, location.href);
  if (request.method === "POST" && paths.has(url.pathname) && !request.headers[KEY]) {
    request.headers[KEY] = freshKey();
  }
  return request;
}

function showCode() {
  // The page has grown since the browser looked for what the address names.
  if (isCode(location.hash)) document.getElementById(location.hash.slice(1))?.scrollIntoView();
}

function isCode(hash) {
  return hash !== "" && !hash.includes("/");
}

async function start() {
  const answer = await fetch("/openapi.json");
  const spec = await answer.json();
  const paths = pathsWithKey(spec);
  const parameter = spec.components.parameters[KEY];
  parameter.required = false; // Here only: Swagger UI would refuse to send without it.
  parameter.description += HINT;
  SwaggerUIBundle({
    spec,
    dom_id: "#swagger",
    deepLinking: !isCode(location.hash), // It would take a code for an operation.
    displayRequestDuration: true,
    persistAuthorization: true,
    tryItOutEnabled: true,
    validatorUrl: null,
    defaultModelsExpandDepth: 0,
    requestInterceptor: (request) => addKey(request, paths),
    onComplete: showCode,
  });
}

start();
