"""How the page looks, and the slider between two pictures; the page itself serves all of it."""

from __future__ import annotations

CSS = """
:root { --unseg-quiet: color-mix(in srgb, var(--body-text-color) 68%, transparent); }
.gradio-container { max-width: 1180px !important; margin: 0 auto !important; }
footer { display: none !important; }
.gradio-container .html-container { padding: 0 !important; min-width: 0; }
#unseg-notice:not(:has(div[role])), #unseg-progress:not(:has(div[role])),
#unseg-viewer:not(:has(div)) { display: none; }
#unseg-head h1 { font-size: 1.5rem; font-weight: 650; margin: 0; }
.unseg-step { font-weight: 600; margin: 0; }
.unseg-step span { font-weight: 400; color: var(--unseg-quiet); }
#unseg-head p { margin: .2rem 0 0; color: var(--unseg-quiet); }
.unseg-problem, .unseg-note { border-radius: 8px; padding: .55rem .8rem; }
.unseg-problem { border: 1px solid #d0342c;
  background: color-mix(in srgb, #d0342c 9%, transparent); }
.unseg-note { padding: .1rem 0; color: var(--unseg-quiet); }
.unseg-problem p, .unseg-note p { margin: .1rem 0; overflow-wrap: anywhere; }
.unseg-quiet { color: var(--unseg-quiet); font-size: .9rem; margin: .3rem 0 0; }
.unseg-bar { height: 8px; border-radius: 4px; overflow: hidden;
  background: var(--border-color-primary); }
.unseg-bar i { display: block; height: 100%; background: var(--color-accent);
  transition: width .2s; }
.unseg-figures, .unseg-list table { margin: 0 !important; border: 0 !important; }
#unseg-written .label-clear-button { display: none; }
.unseg-figures tr, .unseg-figures tr > *, .unseg-list tr, .unseg-list tr > * {
  border: 0 !important; }
.unseg-figures { width: 100%; border-collapse: collapse; }
.unseg-figures th { text-align: left; font-weight: 600; padding: .3rem .9rem .3rem 0; width: 9.5rem;
  vertical-align: top; }
.unseg-figures td { padding: .3rem 0; overflow-wrap: anywhere; }
.unseg-figures tr + tr > *, .unseg-list tr + tr > * {
  border-top: 1px solid var(--border-color-primary) !important; }
.unseg-list { max-height: 15rem; overflow: auto; }
.unseg-list table { width: 100%; border-collapse: collapse; }
.unseg-list th { text-align: left; font-weight: 600; }
.unseg-list td, .unseg-list th { padding: .25rem .9rem .25rem 0; overflow-wrap: anywhere; }
#unseg-picture .image-container, #unseg-picture .image-frame { width: 100%; height: auto; }
#unseg-picture img { cursor: crosshair; width: auto !important; height: auto !important;
  max-width: 100%; max-height: 72vh; margin: 0 auto; display: block; }
.unseg-frame { overflow: auto; width: 100%; contain: inline-size; max-height: 78vh;
  border: 1px solid var(--border-color-primary);
  border-radius: 8px; background: var(--background-fill-secondary); }
.unseg-stack { position: relative; overflow: hidden; margin: 0 auto;
  width: calc(var(--wide) * 1px / var(--unseg-ratio, 1));
  height: calc(var(--high) * 1px / var(--unseg-ratio, 1)); }
.unseg-stack img { position: absolute; inset: 0; width: 100%; height: 100%; max-width: none;
  margin: 0; user-select: none; image-rendering: pixelated; }
.unseg-stack .unseg-protected, .unseg-stack .unseg-difference {
  clip-path: inset(0 0 0 var(--cut, 50%)); }
[data-shown=protected] .unseg-difference, [data-shown=difference] .unseg-protected {
  visibility: hidden; }
.unseg-edge { position: absolute; top: 0; bottom: 0; left: var(--cut, 50%); width: 2px;
  margin-left: -1px; background: #fff; box-shadow: 0 0 0 1px rgba(0, 0, 0, .45); }
.unseg-slider { width: 100%; margin: .5rem 0 0; accent-color: var(--color-accent); }
.unseg-tabs { display: flex; gap: .4rem; align-items: center; flex-wrap: wrap; margin-top: .6rem; }
.unseg-tabs button { border: 1px solid var(--border-color-primary); border-radius: 6px;
  padding: .15rem .7rem; background: none; color: inherit; cursor: pointer; }
.unseg-tabs button[aria-pressed=true] { border-color: var(--color-accent);
  background: var(--color-accent-soft); }
"""
"""The style sheet, on top of the theme's."""

SCRIPT = """
(() => {
  const root = document.documentElement;
  const cut = box => {
    const frame = box.querySelector('.unseg-frame'), stack = box.querySelector('.unseg-stack');
    const share = box.querySelector('.unseg-slider').value / 1000;
    const wide = Math.min(frame.clientWidth, stack.offsetWidth);
    stack.style.setProperty('--cut', `${frame.scrollLeft + share * wide}px`);
  };
  const around = event => event.target.closest ? event.target.closest('.unseg-compare') : null;
  const all = () => {
    root.style.setProperty('--unseg-ratio', window.devicePixelRatio || 1);
    document.querySelectorAll('.unseg-compare').forEach(cut);
  };
  all();
  window.addEventListener('resize', all);
  const again = event => { const box = around(event); if (box) cut(box); };
  document.addEventListener('input', again);
  document.addEventListener('scroll', again, true);
  document.addEventListener('load', event => {
    const box = around(event);
    if (!box || !event.target.matches('.unseg-original')) return;
    const frame = box.querySelector('.unseg-frame');
    frame.scrollLeft = (frame.scrollWidth - frame.clientWidth) / 2;
    frame.scrollTop = (frame.scrollHeight - frame.clientHeight) / 2;
    cut(box);
  }, true);
  document.addEventListener('click', event => {
    const button = event.target.closest ? event.target.closest('.unseg-tabs button') : null;
    if (!button) return;
    const box = around(event);
    box.dataset.shown = button.dataset.show;
    box.querySelectorAll('.unseg-tabs button').forEach(
      one => one.setAttribute('aria-pressed', String(one === button)));
  });
  const drag = event => {
    const frame = event.target.closest ? event.target.closest('.unseg-frame') : null;
    if (!frame || event.pointerType !== 'mouse' || !(event.buttons & 1)) return;
    const box = around(event), stack = box.querySelector('.unseg-stack').getBoundingClientRect();
    const left = Math.max(stack.left, frame.getBoundingClientRect().left);
    const wide = Math.min(frame.clientWidth, stack.width);
    box.querySelector('.unseg-slider').value =
      Math.round(1000 * Math.min(1, Math.max(0, (event.clientX - left) / wide)));
    cut(box);
  };
  document.addEventListener('pointerdown', drag);
  document.addEventListener('pointermove', drag);
})();
"""
"""The slider: it cuts the upper picture off where it stands, in the part that is in sight."""

HEAD = f"<script>{SCRIPT}</script>"
