// What scripts add to pages that work without them: dropping files, progress of an upload, copying.
"use strict";
document.documentElement.classList.add("scripts");

function showPicked(input) {
  const form = input.form, files = [...input.files];
  const words = files.length > 1 ? form.dataset.chosen.replace("{n}", files.length) : "";
  document.getElementById("picked").textContent = words;
}

function watchUpload(form) {
  const input = form.querySelector("input[type=file]"), drop = form.querySelector(".drop");
  const bar = form.querySelector("progress"), words = document.getElementById("sent-words");
  const button = form.querySelector("button.main");
  input.addEventListener("change", () => showPicked(input));
  for (const name of ["dragover", "dragenter"])
    drop.addEventListener(name, (event) => { event.preventDefault(); drop.classList.add("over"); });
  for (const name of ["dragleave", "drop"])
    drop.addEventListener(name, () => drop.classList.remove("over"));
  drop.addEventListener("drop", (event) => {
    event.preventDefault();
    if (event.dataTransfer.files.length) { input.files = event.dataTransfer.files; showPicked(input); }
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const request = new XMLHttpRequest(), body = new FormData(form);
    const leave = () => { bar.hidden = true; button.disabled = false; };
    request.upload.onprogress = (sent) => {
      bar.value = sent.loaded / sent.total;
      words.textContent = sent.loaded < sent.total
        ? form.dataset.sending + " " + Math.round(100 * bar.value) + " %" : form.dataset.checking;
    };
    request.onload = () => {
      if (request.status < 400 && request.responseURL) { location.assign(request.responseURL); return; }
      const page = new DOMParser().parseFromString(request.responseText, "text/html");
      const fresh = page.querySelector("main");
      if (!fresh) { leave(); words.textContent = form.dataset.broken; return; }
      document.querySelector("main").replaceWith(fresh);
      prepare(fresh);
      (fresh.querySelector(".problem") || fresh).focus();
    };
    request.onerror = () => { leave(); words.textContent = form.dataset.broken; };
    request.open("POST", form.action);
    request.setRequestHeader("X-CSRF-Token", form.elements.csrf.value);
    bar.hidden = false; button.disabled = true;
    request.send(body);
  });
}

// Readers with scripts see times in their own zone, and the server's on pointing at them.
function showLocalTime(time) {
  const moment = new Date(time.dateTime), two = (number) => String(number).padStart(2, "0");
  if (isNaN(moment)) return;
  const minutes = -moment.getTimezoneOffset(), apart = Math.abs(minutes);
  const rest = apart % 60 ? ":" + two(apart % 60) : "";
  const zone = minutes ? "UTC" + (minutes < 0 ? "−" : "+") + Math.floor(apart / 60) + rest : "UTC";
  time.title = time.textContent;
  time.textContent = moment.getFullYear() + "-" + two(moment.getMonth() + 1) + "-" + two(moment.getDate())
    + " " + two(moment.getHours()) + ":" + two(moment.getMinutes()) + " " + zone;
}

function prepare(root) {
  root.querySelectorAll("input[data-zone]").forEach((box) => {
    box.value = Intl.DateTimeFormat().resolvedOptions().timeZone || "";
  });
  root.querySelectorAll("time[datetime]").forEach(showLocalTime);
  root.querySelectorAll("form.upload").forEach(watchUpload);
  root.querySelectorAll("form[data-sure]").forEach((form) =>
    form.addEventListener("submit", (event) => { if (!confirm(form.dataset.sure)) event.preventDefault(); }));
  root.querySelectorAll("button[data-copy]").forEach((button) =>
    button.addEventListener("click", async () => {
      const box = document.getElementById(button.dataset.copy);
      box.select();
      try { await navigator.clipboard.writeText(box.value); } catch { document.execCommand("copy"); }
      button.textContent = button.dataset.done;
    }));
}

// A second click sends no form again while the first is under way, nor before the page is shown anew.
const SENT_MS = 5000;
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (event.defaultPrevented || form.method !== "post") return;
  if (form.dataset.sent) { event.preventDefault(); return; }
  form.dataset.sent = "1";
  setTimeout(() => { delete form.dataset.sent; }, SENT_MS);
});
addEventListener("pageshow", () =>
  document.querySelectorAll("form[data-sent]").forEach((form) => { delete form.dataset.sent; }));

// While a job's progress gets no answer the page says so; the next answer replaces these words.
function tellNoAnswer(event) {
  const words = event.target.querySelector && event.target.querySelector(".no-answer");
  if (words && !(event.detail.xhr && event.detail.xhr.status > 0 && event.detail.xhr.status < 500)) words.hidden = false;
}
for (const name of ["htmx:sendError", "htmx:timeout", "htmx:responseError"])
  document.addEventListener(name, tellNoAnswer);

// What a page fetches later is prepared as what it came with.
document.addEventListener("htmx:load", ({ detail }) => { if (detail.elt !== document.body) prepare(detail.elt); });

document.addEventListener("DOMContentLoaded", () => {
  prepare(document);
  const first = document.querySelector(".wrong input, .wrong select");
  if (first) first.focus();
});
