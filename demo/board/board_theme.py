"""Styles of the benchmark tab and of the About tab."""

BOARD_CSS = """
.takeaway { margin: 0.1rem 0 0.4rem; font-size: 0.92rem; line-height: 1.45; }
.chart { border: 1px solid var(--border-color-primary); border-radius: 10px; padding: 0.8rem 0.9rem;
  background: var(--block-background-fill); }
.chart h2, #views h2 { margin: 0; font-size: 1.02rem; }
.charts { display: grid !important; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 0.9rem; }
.charts { align-items: stretch; }
.chart { gap: 0.1rem !important; }
#intro .html-container, #views .html-container, #about .html-container, #board-notice .html-container,
#mixture .html-container { padding: 0; }
.charts > * { min-width: 0 !important; }
#chart-tokens, #chart-throughput, #chart-learning { grid-column: 1 / -1; }
.panels { display: grid !important; grid-template-columns: repeat(auto-fit, minmax(min(280px, 100%), 1fr));
  gap: 0.9rem; }
.panels > * { min-width: 0 !important; }
.remark { border-left: 4px solid #d9a514; background: rgba(217, 165, 20, 0.12); border-radius: 6px;
  padding: 0.5rem 0.8rem; font-size: 0.92rem; }
#mixture:not(:has(.remark)), #board-notice:not(:has(.notice)), #race-status:not(:has(.notice, p)),
#left-out:not(:has(p)) { display: none; }
#board-notice .notice + .notice { margin-top: 0.4rem; }
#filters { gap: 0.6rem; }
#filters .form { flex-wrap: nowrap; }
#filters .block { padding: 0.4rem 0.6rem; }
#filters input { text-overflow: ellipsis; }
body:has(:is(#view-race-button, #view-published-button)[aria-selected="true"]) :is(#filters, #mixture) {
  display: none; }
body:has(#view-live-button[aria-selected="true"]) :is(#filter-methods, #filter-precision, #filter-hardware,
#filter-run) { display: none; }
.headlines, .matrices { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(280px, 100%), 1fr));
  gap: 0.9rem; }
.headline { border: 1px solid var(--border-color-primary); border-radius: 10px; padding: 0.7rem 0.9rem;
  background: var(--block-background-fill); }
.headline h2 { font-size: 0.92rem; font-weight: 500; margin: 0; color: var(--body-text-color-subdued); }
.headline p { margin: 0; line-height: 1.45; font-size: 0.92rem; }
.headline .figure { font-size: 1.7rem; font-weight: 700; line-height: 1.3; }
.headline .figure small { font-size: 0.85rem; font-weight: 400; color: var(--body-text-color-subdued); }
.legend { font-size: 0.82rem; margin: 0 0 0.3rem; }
.below { font-size: 0.85rem; line-height: 1.5; margin-top: 0.4rem; }
.below p { margin: 0; }
.below summary { cursor: pointer; min-height: 24px; }
.below dt { font-weight: 600; margin-top: 0.3rem; }
.below dd { margin: 0; }
.matrices .scroll { border: 1px solid var(--border-color-primary); border-radius: 10px; padding: 0.5rem 0.7rem;
  background: var(--block-background-fill); }
.downloads a { display: inline-block; border: 1px solid var(--border-color-primary); border-radius: 6px;
  padding: 0.15rem 0.7rem; margin-left: 0.4rem; text-decoration: none; }
#explorer-bar { align-items: end; }
.scroll { overflow-x: auto; }
.prose :is(table.ranking, table.matrix) { border-collapse: collapse; border: none; width: 100%;
  font-size: 0.9rem; margin: 0; }
.prose :is(table.ranking, table.matrix) :is(th, td) { border: none; text-align: left; padding: 0.35rem 0.6rem;
  vertical-align: top; font-variant-numeric: tabular-nums; }
.prose :is(table.ranking, table.matrix) tr { border: none;
  border-bottom: 1px solid var(--border-color-primary); }
:is(table.ranking, table.matrix) small { display: block; font-size: 0.78rem; color: var(--body-text-color-subdued);
  white-space: nowrap; }
table.ranking thead th { vertical-align: bottom; white-space: nowrap; }
table.ranking th button { font: inherit; font-weight: 600; background: none; border: none; padding: 0; margin: 0;
  min-height: 24px; cursor: pointer; color: inherit; }
table.ranking th button[title] { text-decoration: underline dotted; text-underline-offset: 3px; }
table.ranking th[aria-sort="ascending"] button::after { content: " ↑"; }
table.ranking th[aria-sort="descending"] button::after { content: " ↓"; }
table.ranking th[scope="row"] { position: sticky; left: 0; background: var(--background-fill-primary);
  font-weight: 600; }
table.matrix caption { text-align: left; font-weight: 600; padding-bottom: 0.2rem; }
table.matrix th { font-weight: 500; }
table.matrix :is(td, small) { color: var(--body-text-color); }
table.matrix td:not(:empty, .corner) { background: color-mix(in srgb, #4c78f0 calc(var(--p) * 22%), transparent); }
table.live tr.before :is(td, th) { color: var(--body-text-color-subdued); }
.bar { height: 8px; border-radius: 4px; background: var(--border-color-primary); overflow: hidden; margin: 0.4rem 0; }
.bar i { display: block; height: 100%; background: var(--color-accent); }
"""

CARDS_CSS = """
.asked { margin: 0.4rem 0 0.7rem; }
.cards, .lanes { display: grid; grid-template-columns: repeat(auto-fit, minmax(220px, 380px)); gap: 0.8rem; }
.card, .lane { border: 1px solid var(--border-color-primary); border-top: 4px solid; border-radius: 8px;
  padding: 0.6rem 0.7rem; background: var(--block-background-fill); min-width: 0; }
.card svg, .lane svg { width: 100%; height: auto; border-radius: 4px; display: block; }
.card header, .lane header { display: flex; gap: 0.5rem; align-items: baseline; margin-bottom: 0.4rem; }
.said { font-family: var(--font-mono); font-size: 0.78rem; line-height: 1.45; max-height: 6.5em; min-height: 1.45em;
  overflow-y: auto; white-space: pre-wrap; overflow-wrap: anywhere; margin: 0.45rem 0 0.2rem; }
.facts, .lane-note { font-size: 0.82rem; color: var(--body-text-color-subdued); margin: 0; min-height: 1.2em; }
.no-picture { padding: 2rem 0; text-align: center; }
.clock { margin-left: auto; font-family: var(--font-mono); font-variant-numeric: tabular-nums; font-size: 1.05rem; }
.lane.over .clock { font-weight: 700; }
.lane.unfinished .clock { font-size: 0.85rem; color: var(--body-text-color-subdued); }
.lane.unfinished svg { opacity: 0.6; }
.lane .landed { animation: landed 0.35s ease-out; }
@keyframes landed { from { opacity: 0; } }
@media (prefers-reduced-motion: reduce) { .lane .landed { animation: none; } }
.race-summary { font-weight: 600; min-height: 1.6em; margin: 0.7rem 0 0.3rem; }
.race-bar { display: flex; flex-wrap: wrap; gap: 0.4rem; }
.race-bar button { border: 1px solid var(--border-color-primary); border-radius: 6px; padding: 0.2rem 0.7rem;
  font-size: 0.85rem; font-weight: 500; margin: 0;
  background: var(--button-secondary-background-fill); color: var(--button-secondary-text-color); cursor: pointer; }
.race-bar button:hover { border-color: var(--color-accent); }
"""

ABOUT_CSS = """
#about { max-width: 780px; }
#about pre code { white-space: pre-wrap; }
#citation pre { font-size: 0.82rem; border: 1px solid var(--border-color-primary); border-radius: 8px;
  padding: 0.6rem 0.8rem; }
.paradigms { width: 100%; height: auto; font-family: var(--font); }
.paradigms .lane-name { font-weight: 700; font-size: 16px; }
.paradigms .lane-words { font-size: 13px; fill: var(--body-text-color-subdued); }
.paradigms .token { font-family: var(--font-mono); font-size: 12px; fill: var(--body-text-color); }
.paradigms .arrow { fill: none; stroke: var(--body-text-color-subdued); stroke-width: 1.5; }
.paradigms .ground { fill: var(--background-fill-primary); }
.paradigms .frame { fill: none; stroke: var(--body-text-color-subdued); }
.paradigms .grid { stroke: var(--body-text-color-subdued); stroke-width: 0.5; }
"""

BOARD_PHONE_CSS = """
@media (max-width: 768px) {
  .charts { grid-template-columns: minmax(0, 1fr); }
  .chart { padding: 0.6rem 0.5rem; }
  /* One row that scrolls, so that the results begin on the first screen. */
  #filters .form { overflow-x: auto; flex: 1 1 100%; }
  #filters .form > * { flex: 0 0 auto !important; min-width: 8.5rem !important; max-width: 11rem; }
  .headline { padding: 0.5rem 0.7rem; }
  .cards, .lanes { grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 0.5rem; }
  .card, .lane { padding: 0.45rem; }
  .lane header, .card header { flex-wrap: wrap; row-gap: 0; }
}
"""
