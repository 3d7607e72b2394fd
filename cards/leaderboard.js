(() => {
  "use strict";
  const PAGE = 50;
  const FRAME = 100;
  const PUBLISHED = 20;
  const AXIS = 124;
  const SERIES = 8;
  const FAINT = 200;
  const NAMESPACE = "http://www.w3.org/2000/svg";
  const data = JSON.parse(document.getElementById("board").textContent);
  const collator = new Intl.Collator("en", { numeric: true });
  const $ = (id) => document.getElementById(id);

  // All text of the page that users wrote goes through here, as text nodes.
  const fill = (element, attributes, children) => {
    for (const [name, value] of Object.entries(attributes)) if (value !== null) element.setAttribute(name, value);
    element.append(...children.filter((child) => child !== null));
    return element;
  };
  const el = (name, attributes = {}, ...children) => fill(document.createElement(name), attributes, children);
  const svg = (name, attributes = {}, ...children) => fill(document.createElementNS(NAMESPACE, name), attributes, children);
  const unseen = (text) => el("span", { class: "unseen" }, text);
  const whole = (number) => number.toLocaleString("en");
  const minus = (text) => text.replace("-", "−");

  // A table that is sorted by buttons in its head and shows a page of its rows, so that sorting is quick with any number.
  const makeTable = (name, size, countRows) => {
    const table = $(`${name}-table`) ?? $(name);
    const region = table.closest(".scroll");
    const [head, body] = [table.tHead, table.tBodies[0]];
    const status = $(`${name}-status`);
    const [next, all] = ["next", "all"].map((each) => status.parentElement.querySelector(`.${each}`));
    let columns = [], rows = [], sort = { key: "", down: false }, shown = size, turn = 0, made = new Map(), sorted = () => {};
    const headers = new Map();

    const compare = (column, down) => (one, other) => {
      const [a, b] = [column.value(one), column.value(other)];
      // What has no value comes last in both directions.
      if (a === null || b === null) return (a === null) - (b === null) || one.order - other.order;
      const found = typeof a === "string" ? collator.compare(a, b) : a - b;
      return (down ? -found : found) || one.order - other.order;
    };
    const make = (row) => {
      if (!made.has(row)) made.set(row, el("tr", {}, ...columns.map((column) => column.cell(row))));
      return made.get(row);
    };
    // A page of rows at once and others frame by frame, so that the first are there at once however many there are.
    const append = (from, own) => {
      if (own !== turn) return;
      const until = Math.min(from + (from ? FRAME : PAGE), shown, rows.length);
      body.append(...rows.slice(from, until).map(make));
      if (until < Math.min(shown, rows.length)) requestAnimationFrame(() => append(until, own));
    };
    const say = () => {
      region.querySelector(".empty").hidden = rows.length > 0;
      next.hidden = all.hidden = rows.length <= shown;
      next.textContent = `Show ${Math.min(size, rows.length - shown)} more`;
      const column = columns.find((each) => each.key === sort.key);
      const order = column ? `, sorted by ${column.label.toLowerCase()}, ${sort.down ? "descending" : "ascending"}` : "";
      status.textContent = `${countRows(Math.min(shown, rows.length), rows.length)}${order}.`;
    };
    const show = () => {
      turn += 1;
      body.replaceChildren();
      append(0, turn);
      say();
    };
    const grow = (count) => {
      turn += 1;
      // Rows that an earlier turn had still to bring come now.
      const first = body.rows.length;
      shown = count;
      append(first, turn);
      say();
      // The button may be gone: the focus goes on to the first new row.
      body.rows[first]?.querySelector("a")?.focus();
    };
    const order = () => {
      const column = columns.find((each) => each.key === sort.key);
      if (column) rows.sort(compare(column, sort.down));
      for (const [key, { header, arrow }] of headers) {
        if (key === sort.key) header.setAttribute("aria-sort", sort.down ? "descending" : "ascending");
        else header.removeAttribute("aria-sort");
        arrow.textContent = key === sort.key ? (sort.down ? "▼" : "▲") : "↕";
      }
    };
    const sortBy = (key) => {
      const column = columns.find((each) => each.key === key);
      sort = { key, down: sort.key === key ? !sort.down : column.down ?? false };
      shown = Math.max(size, Math.min(shown, rows.length));
      order();
      show();
      sorted();
    };
    next.addEventListener("click", () => grow(shown + size));
    all.addEventListener("click", () => grow(rows.length));
    return {
      caption: (text) => { table.caption.textContent = text; },
      columns: (given) => {
        [columns, made, shown] = [given, new Map(), size];
        headers.clear();
        head.replaceChildren(el("tr", {}, ...columns.map((column) => {
          const header = el("th", { scope: "col", class: column.class ?? null });
          if (!column.value) { header.append(column.head ?? column.label); return header; }
          const arrow = el("i", { "aria-hidden": "true" });
          const button = el("button", { type: "button" }, el("span", {}, column.label), arrow);
          button.addEventListener("click", () => sortBy(column.key));
          header.append(button);
          headers.set(column.key, { header, arrow });
          return header;
        })));
        if (!headers.has(sort.key)) sort = { key: given.find((each) => each.value).key, down: false };
      },
      rows: (given) => {
        [rows, shown] = [[...given], size];
        order();
        show();
      },
      sort: (key, down) => { if (headers.has(key)) sort = { key, down }; },
      sorting: () => sort,
      onSort: (action) => { sorted = action; },
    };
  };

  const domainBadge = (value) => {
    const [kind, text] = value === null ? ["unknown", "not declared"] : value ? ["in", "in-domain"] : ["out", "no"];
    return el("span", { class: `badge ${kind}` }, text);
  };
  const listed = (names) => names === null ? "not declared" : names.length ? names.join(", ") : "nothing";
  const numberOf = (scale, value, signed = false) => {
    const text = (value * scale.factor).toFixed(scale.digits);
    return minus(signed && value >= 0 ? `+${text}` : text);
  };

  const span = (axis, low, value, high, kind, line) => {
    const at = (each) => (6 + (each - axis.low) / (axis.high - axis.low || 1) * (AXIS - 12)).toFixed(1);
    return svg("svg", { width: AXIS, height: 18, viewBox: `0 0 ${AXIS} 18`, "aria-hidden": "true", focusable: "false" },
      svg("line", { class: "axis", x1: 0, x2: AXIS, y1: 9, y2: 9 }),
      line === null ? null : svg("line", { class: "best", x1: at(line), x2: at(line), y1: 0, y2: 18 }),
      svg("g", { class: kind },
        svg("line", { class: "span", x1: at(low), x2: at(high), y1: 9, y2: 9 }),
        svg("circle", { class: "point", cx: at(value), cy: 9, r: 3.5 })));
  };
  const axisHead = (label, axis, scale, signed) => el("div", {}, label, el("div", { class: "ends" },
    el("span", {}, numberOf(scale, axis.low, signed)), el("span", {}, numberOf(scale, axis.high, signed))));
  const axisOf = (values) => ({ low: Math.min(...values), high: Math.max(...values) });
  const extent = (rows, fields) => {
    const axis = { low: Infinity, high: -Infinity };
    for (const row of rows) for (const value of fields(row)) {
      if (value < axis.low) axis.low = value;
      if (value > axis.high) axis.high = value;
    }
    return axis;
  };

  const prepare = (values, order) => {
    const row = { order };
    data.fields.forEach((field, position) => { row[field] = values[position]; });
    row.submission = data.submissions[row.submission];
    row.trained = row.trained === null ? null : data.trained[row.trained];
    const facts = row.submission;
    row.words = [facts.name, facts.revision, facts.authors, facts.license, row.arm, listed(row.trained), ...row.flags]
      .join("\n").toLowerCase();
    return row;
  };

  // Rows of one benchmark and track: the first of a group's value is its best.
  const columnsOf = (view) => {
    const { board, rows, track, group } = view;
    const scale = board.scale;
    const good = (sign) => board.higher ? sign : -sign;
    const axis = extent(rows, (row) => [row.low, row.high]);
    const change = extent([{ difference: [0, 0, 0] }, ...rows], (row) => row.difference ?? []);
    const best = group === null ? null : rows.reduce((found, row) => row.rank < found.rank ? row : found, rows[0])?.value ?? null;
    const has = (test) => rows.some(test);
    const [arms, ratios] = ["arm", "ratio"].map((field) => new Set(rows.map((row) => row[field])));
    const sizes = new Map();
    for (const row of rows) sizes.set(row.group, (sizes.get(row.group) ?? 0) + 1);
    const tied = (row) => row.tied && sizes.get(row.group) > 1;
    const found = [
      { key: "rank", label: "Rank", class: "rank", value: (row) => group === null ? row.group * 1e6 + row.rank : row.rank,
        cell: (row) => el("td", { class: "rank" }, el("b", {}, String(row.rank)),
          el("span", { class: "tie", "aria-hidden": "true" }, tied(row) ? "≈" : ""), tied(row) ? unseen(" not told from the best") : null) },
      { key: "name", label: track === "models" ? "Model" : "Dataset", value: (row) => row.submission.name,
        cell: (row) => el("th", { scope: "row", class: "name" },
          el("a", { href: `submissions/${encodeURIComponent(row.submission.id)}.html` }, el("bdi", {}, row.submission.name)),
          row.verified ? null : el("span", { class: "badge flag" }, "not verified"),
          ...row.flags.map((flag) => el("span", { class: "badge flag" }, `flag ${flag}`)),
          arms.size > 1 ? el("small", { class: "narrow" }, row.arm) : null,
          el("small", {}, el("bdi", {}, [row.submission.revision, row.submission.authors].filter(Boolean).join(" · ")))) },
    ];
    if (group === null) found.push({ key: "group", label: "Ranked among", value: (row) => view.groups[row.group],
      cell: (row) => el("td", { class: "clip" }, el("bdi", {}, view.groups[row.group])) });
    if (arms.size > 1) found.push({ key: "arm", label: "Arm", class: "wide", value: (row) => row.arm, cell: (row) => el("td", { class: "plain wide" }, row.arm) });
    if (ratios.size > 1) found.push({ key: "ratio", label: "Ratio", class: "number wide", value: (row) => row.ratio,
      cell: (row) => el("td", { class: "number wide" }, row.ratio === null ? "–" : String(row.ratio)) });
    found.push(
      { key: "score", label: "Score", class: "number", down: board.higher, value: (row) => row.value,
        cell: (row) => el("td", { class: "number" }, el("b", {}, numberOf(scale, row.value)),
          el("small", {}, `${numberOf(scale, row.low)} to ${numberOf(scale, row.high)}`)) },
      { key: "interval", label: "95 % interval", head: axisHead("95 % interval", axis, scale, false),
        cell: (row) => el("td", {}, span(axis, row.low, row.value, row.high, tied(row) ? "tied" : "", best)) });
    if (has((row) => row.difference)) found.push(
      { key: "difference", label: "To real alone", class: "number", down: board.higher, value: (row) => row.difference?.[0] ?? null,
        cell: (row) => {
          if (!row.difference) return el("td", { class: "number" }, "–");
          const sign = good((row.difference[1] > 0) - (row.difference[2] < 0));
          return el("td", { class: "number" }, el("b", {}, numberOf(scale, row.difference[0], true)),
            sign ? el("span", { class: sign > 0 ? "better" : "worse", "aria-hidden": "true" }, sign > 0 ? " ▲" : " ▼") : null,
            sign ? unseen(sign > 0 ? " better" : " worse") : null,
            el("small", {}, `${numberOf(scale, row.difference[1], true)} to ${numberOf(scale, row.difference[2], true)}`));
        } },
      { key: "change", label: "Difference, dashed at 0", head: axisHead("Difference, dashed at 0", change, scale, true),
        cell: (row) => {
          if (!row.difference) return el("td", {});
          const sign = good((row.difference[1] > 0) - (row.difference[2] < 0));
          return el("td", {}, span(change, row.difference[1], row.difference[0], row.difference[2], sign > 0 ? "up" : sign < 0 ? "down" : "", 0));
        } });
    found.push({ key: "domain", label: "In-domain", value: (row) => row.domain, cell: (row) => el("td", {}, domainBadge(row.domain)) });
    if (track === "models") found.push({ key: "trained", label: "Trained on", value: (row) => row.trained === null ? null : listed(row.trained),
      cell: (row) => el("td", { class: "clip" }, el("bdi", {}, listed(row.trained))) });
    found.push({ key: "seeds", label: "Seeds", class: "number", value: (row) => row.seeds, cell: (row) => el("td", { class: "number" }, String(row.seeds)) });
    if (track === "models") found.push(
      { key: "license", label: "Licence", value: (row) => row.submission.license || null,
        cell: (row) => el("td", { class: "clip" }, el("bdi", {}, row.submission.license || "–")) });
    return found;
  };

  const MARKS = [
    (x, y) => `M${x - 4.5},${y}a4.5,4.5 0 1,0 9,0a4.5,4.5 0 1,0 -9,0`,
    (x, y) => `M${x - 4},${y - 4}h8v8h-8z`,
    (x, y) => `M${x},${y - 5.5}l5.2,9.2h-10.4z`,
    (x, y) => `M${x},${y - 5.8}l5.8,5.8l-5.8,5.8l-5.8,-5.8z`,
  ];
  const markOf = (number, x, y) => svg("path", { class: `mark s${number}`, d: MARKS[number % MARKS.length](x, y) });
  const ticksOf = (low, high) => {
    const rough = (high - low) / 5 || 1;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 2.5, 5, 10].map((each) => each * power).find((each) => each >= rough);
    const found = [];
    for (let at = Math.ceil(low / step); at * step <= high; at += 1) found.push(at * step);
    return { found, digits: Math.max(0, -Math.floor(Math.log10(step) + 1e-9)) + (step / power === 2.5 && step < 10 ? 1 : 0) };
  };
  const seriesOf = (rows) => {
    const submissions = new Map();
    for (const row of rows) {
      if (row.ratio === null) continue;
      const own = submissions.get(row.submission) ?? submissions.set(row.submission, { real: null, kinds: new Map() }).get(row.submission);
      const kind = row.arm.split(/[@x]\d/)[0];
      if (row.ratio === 0) own.real = row;
      else own.kinds.set(kind, [...own.kinds.get(kind) ?? [], row]);
    }
    const found = [];
    for (const [submission, { real, kinds }] of submissions) {
      for (const [kind, own] of kinds) {
        const points = [...real ? [real] : [], ...own.sort((a, b) => a.ratio - b.ratio)];
        found.push({ submission, name: kinds.size > 1 ? `${submission.name} (${kind})` : submission.name, points, added: own });
      }
    }
    return found;
  };
  const drawPlot = (view, rows) => {
    const [figure, chart, legend] = [$("plot"), $("chart"), $("legend")];
    const ratios = [...new Set(view.rows.map((row) => row.ratio).filter((ratio) => ratio !== null))].sort((a, b) => a - b);
    figure.hidden = view.group === null || ratios.length < 2;
    if (figure.hidden) return;
    const { scale, higher } = view.board;
    const peak = (one) => Math.max(...one.added.map((row) => higher ? row.value : -row.value));
    const series = seriesOf(rows).sort((one, other) => peak(other) - peak(one));
    const [top, rest] = [series.slice(0, SERIES), series.slice(SERIES, SERIES + FAINT)];
    const [width, height] = [Math.max(280, Math.min(1160, chart.clientWidth)), 320];
    const pad = { left: 48, right: 14, top: 12, bottom: 44 };
    const values = [...top.flatMap((one) => one.points.flatMap((row) => [row.low, row.high])), ...rest.flatMap((one) => one.points.map((row) => row.value))];
    if (!values.length) values.push(...view.rows.map((row) => row.value));
    const range = axisOf(values.map((value) => value * scale.factor));
    const room = (range.high - range.low || 1) * 0.06;
    const [low, high] = [range.low - room, range.high + room];
    // Ratios double from arm to arm, and 0 must have a place: log2(1 + ratio).
    const last = Math.log2(1 + ratios[ratios.length - 1]), first = Math.log2(1 + ratios[0]);
    const x = (ratio) => pad.left + 16 + (Math.log2(1 + ratio) - first) / (last - first || 1) * (width - pad.left - pad.right - 32);
    const y = (value) => height - pad.bottom - (value * scale.factor - low) / (high - low) * (height - pad.top - pad.bottom);
    const path = (one, shift = 0) => one.points.map((row, at) => `${at ? "L" : "M"}${(x(row.ratio) + shift).toFixed(1)},${y(row.value).toFixed(1)}`).join("");
    const picture = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-labelledby": "plot-title plot-note" });
    const ticks = ticksOf(low, high);
    for (const value of ticks.found) {
      const at = y(value / scale.factor).toFixed(1);
      picture.append(svg("line", { class: "grid", x1: pad.left, x2: width - pad.right, y1: at, y2: at }),
        svg("text", { x: pad.left - 8, y: Number(at) + 4, "text-anchor": "end" }, minus(value.toFixed(ticks.digits))));
    }
    let taken = -Infinity;
    for (const ratio of ratios) {
      if (x(ratio) - taken < 30) continue;
      taken = x(ratio);
      picture.append(svg("text", { x: taken.toFixed(1), y: height - pad.bottom + 20, "text-anchor": "middle" }, String(ratio)));
    }
    picture.append(svg("text", { x: (pad.left + width) / 2, y: height - 6, "text-anchor": "middle" }, "added images for a real one"));
    const reals = view.rows.filter((row) => row.ratio === 0).map((row) => row.value);
    if (reals.length && Math.max(...reals) - Math.min(...reals) < 1e-6) {
      const at = y(reals[0]).toFixed(1);
      picture.append(svg("line", { class: "alone", x1: pad.left, x2: width - pad.right, y1: at, y2: at }));
    }
    for (const one of rest) picture.append(svg("path", { class: "rest", d: path(one) }));
    top.map((one, number) => [one, number]).reverse().forEach(([one, number]) => {
      const shift = (number - (top.length - 1) / 2) * 2.5;
      picture.append(svg("path", { class: `series s${number}`, d: path(one, shift) }));
      for (const row of one.points) {
        const at = x(row.ratio) + shift;
        picture.append(svg("line", { class: `error s${number}`, x1: at, x2: at, y1: y(row.low), y2: y(row.high) }), markOf(number, at, y(row.value)));
      }
    });
    const drawn = top.length + rest.length;
    const grey = rest.length ? ` The ${top.length} with the best score are in colour with their 95 % intervals, ${whole(rest.length)} others in grey.` : " Bars are 95 % intervals.";
    $("plot-note").textContent = `${view.board.metric}${scale.unit ? ` in ${scale.unit}` : ""}, ${view.groups[view.group]}: ${whole(drawn)} of ${whole(series.length)} series.${drawn ? grey : ""}${reals.length ? " Ratio 0 is real images alone." : ""} The table has every number.`;
    chart.replaceChildren(picture);
    legend.replaceChildren(...top.map((one, number) => el("li", {},
      svg("svg", { width: 14, height: 14, viewBox: "0 0 14 14", "aria-hidden": "true", focusable: "false" }, markOf(number, 7, 7)),
      el("a", { href: `submissions/${encodeURIComponent(one.submission.id)}.html` }, el("bdi", {}, one.name)))));
  };

  const startBoard = () => {
    const boards = new Map(data.benchmarks.map((board) => [board.key, board]));
    const prepared = new Map();
    const rowsOf = (board, track) => {
      const key = `${board.key}/${track}`;
      if (!prepared.has(key)) prepared.set(key, board.rows[track].map(prepare));
      return prepared.get(key);
    };
    const table = makeTable("table", PAGE, (shown, all) => `${whole(shown)} of ${whole(all)} row${all === 1 ? "" : "s"}`);
    const state = { board: data.benchmarks[0].key, track: null, group: "", q: "", domain: "", tied: false, best: false };
    let view = null;

    // The group that most submissions stand in, so that the first look is at a full table.
    const usual = (board, track) => {
      const counts = board.groups[track].map(() => [new Set(), 0]);
      for (const row of rowsOf(board, track)) {
        counts[row.group][0].add(row.submission);
        counts[row.group][1] += 1;
      }
      if (track === "models" && counts.length > 1 && counts.every(([submissions]) => submissions.size === 1)) return "all";
      const most = counts.map(([submissions, rows]) => submissions.size * 1e6 + rows);
      return String(most.indexOf(most.reduce((one, other) => Math.max(one, other), 0)));
    };
    const passes = (row) => (!state.q || row.words.includes(state.q.toLowerCase().trim()))
      && (state.domain === "" || String(row.domain) === state.domain) && (!state.tied || row.tied);
    const bestOfEach = (rows) => {
      const found = new Map();
      for (const row of rows) {
        const before = found.get(row.submission);
        if (!before || row.rank < before.rank) found.set(row.submission, row);
      }
      return [...found.values()];
    };
    const filter = () => {
      const rows = view.rows.filter(passes);
      table.rows(state.best ? bestOfEach(rows) : rows);
      drawPlot(view, rows);
    };
    const open = () => {
      const board = boards.get(state.board);
      if (!board.groups[state.track]?.length) state.track = board.groups.models.length ? "models" : "datasets";
      const groups = board.groups[state.track];
      if (state.group !== "all" && !groups[Number(state.group || NaN)]) state.group = usual(board, state.track);
      const group = state.group === "all" || state.group === "" ? null : Number(state.group);
      const every = rowsOf(board, state.track);
      view = { board, track: state.track, groups, group, rows: group === null ? every : every.filter((row) => row.group === group) };
      for (const link of document.querySelectorAll(".pills a")) {
        if (link.dataset.board === board.key) link.setAttribute("aria-current", "true"); else link.removeAttribute("aria-current");
      }
      for (const about of document.querySelectorAll(".about")) {
        about.hidden = about.dataset.board !== board.key;
        const title = about.querySelector("h2");
        if (about.hidden) title.removeAttribute("id"); else title.id = "board-title";
      }
      for (const radio of document.querySelectorAll("input[name=track]")) {
        radio.checked = radio.value === state.track;
        radio.disabled = !board.groups[radio.value].length;
      }
      $("group").replaceChildren(...groups.map((name, number) => el("option", { value: number }, name)),
        ...groups.length > 1 ? [el("option", { value: "all" }, "all groups (ranks are within each)")] : []);
      $("group").value = state.group;
      $("query").value = state.q;
      $("domain").value = state.domain;
      $("tied").checked = state.tied;
      $("best").checked = state.best;
      table.columns(columnsOf(view));
      table.caption(`${board.title}: ${state.track}, ${board.metric}${board.scale.unit ? ` in ${board.scale.unit}` : ""}, ${board.higher ? "higher" : "lower"} is better. ${group === null ? "All groups; ranks are within each." : `Ranked among: ${groups[group]}.`}`);
      filter();
    };
    const address = () => {
      const sorting = table.sorting();
      const found = new URLSearchParams({ board: state.board, track: state.track, group: state.group });
      if (state.q) found.set("q", state.q);
      if (state.domain) found.set("domain", state.domain);
      for (const each of ["tied", "best"]) if (state[each]) found.set(each, "1");
      if (sorting.key !== "rank" || sorting.down) found.set("sort", `${sorting.down ? "-" : ""}${sorting.key}`);
      // Frames without an address of their own refuse this; the page works all the same.
      try { history.replaceState(null, "", `#${found}`); } catch { /* the address stays as it was */ }
    };
    const read = () => {
      const given = new URLSearchParams(location.hash.slice(1));
      if (!boards.has(given.get("board"))) return false;
      Object.assign(state, { board: given.get("board"), track: given.get("track"), group: given.get("group") ?? "", q: given.get("q") ?? "",
        domain: given.get("domain") ?? "", tied: given.get("tied") === "1", best: given.get("best") === "1" });
      const sorting = given.get("sort") ?? "rank";
      open();
      table.sort(sorting.replace(/^-/, ""), sorting.startsWith("-"));
      filter();
      return true;
    };
    const change = (values, action) => { Object.assign(state, values); action(); address(); };

    $("app").hidden = false;
    $("query").addEventListener("input", (event) => change({ q: event.target.value }, filter));
    $("domain").addEventListener("change", (event) => change({ domain: event.target.value }, filter));
    for (const each of ["tied", "best"]) $(each).addEventListener("change", (event) => change({ [each]: event.target.checked }, filter));
    $("group").addEventListener("change", (event) => change({ group: event.target.value }, open));
    $("reset").addEventListener("click", () => change({ q: "", domain: "", tied: false, best: false }, open));
    for (const radio of document.querySelectorAll("input[name=track]")) {
      radio.addEventListener("change", () => change({ track: radio.value, group: "" }, open));
    }
    for (const link of document.querySelectorAll(".pills a")) {
      link.addEventListener("click", (event) => {
        event.preventDefault();
        change({ board: link.dataset.board, group: "" }, open);
        $("board-title").focus();
      });
    }
    table.onSort(address);
    addEventListener("hashchange", read);
    let width = $("chart").clientWidth;
    new ResizeObserver(() => {
      if ($("chart").clientWidth === width || $("plot").hidden) return;
      width = $("chart").clientWidth;
      drawPlot(view, view.rows.filter(passes));
    }).observe($("chart"));
    if (!read()) open();
  };

  const startPublished = () => {
    const rows = data.published.map((row, order) => ({ ...row, order,
      words: [row.model, row.dataset, row.metric, row.protocol, row.source, listed(row.trained)].join("\n").toLowerCase() }));
    const table = makeTable("published", PUBLISHED, (shown, all) => `${whole(shown)} of ${whole(all)} published number${all === 1 ? "" : "s"}`);
    const text = (key, label, kind) => ({ key, label, value: (row) => row[key], cell: (row) => el("td", { class: kind }, el("bdi", {}, row[key])) });
    table.columns([
      { key: "model", label: "Model", value: (row) => row.model, cell: (row) => el("th", { scope: "row", class: "name" }, el("bdi", {}, row.model)) },
      text("dataset", "Data set", "plain"),
      text("metric", "Metric", "plain"),
      { key: "value", label: "Value", class: "number", down: true, value: (row) => row.value,
        cell: (row) => el("td", { class: "number" }, (row.value * 100).toFixed(2).replace(/0$/, "")) },
      text("protocol", "Protocol", "words"),
      ...rows.some((row) => row.domain !== null) ? [{ key: "domain", label: "In-domain", value: (row) => row.domain === null ? null : Number(row.domain),
        cell: (row) => el("td", {}, row.domain === null ? "not known" : domainBadge(row.domain)) }] : [],
      ...rows.some((row) => row.trained !== null) ? [{ key: "trained", label: "Trained on", value: (row) => row.trained === null ? null : listed(row.trained),
        cell: (row) => el("td", { class: "words" }, el("bdi", {}, row.trained === null ? "not known" : listed(row.trained))) }] : [],
      { key: "source", label: "Source", value: (row) => row.source,
        cell: (row) => el("td", { class: "words" }, row.url ? el("a", { href: row.url, target: "_blank", rel: "noopener noreferrer nofollow" }, row.source, unseen(" (opens a new tab)")) : el("bdi", {}, row.source)) },
    ]);
    table.sort("dataset", false);
    table.rows(rows);
    const query = $("published-query");
    query.closest(".find").hidden = false;
    query.addEventListener("input", () => table.rows(rows.filter((row) => row.words.includes(query.value.toLowerCase().trim()))));
  };

  if (data.benchmarks.length) startBoard();
  if (data.published.length) startPublished();
})();
