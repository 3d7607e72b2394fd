(() => {
  "use strict";
  const root = document.documentElement;
  const themes = ["auto", "light", "dark"];
  // Storage is refused in some frames and for some files: the theme is then that of the page alone.
  const remembered = () => { try { return localStorage.getItem("theme"); } catch { return null; } };
  const remember = (theme) => { try { localStorage.setItem("theme", theme); } catch { /* nothing is lost but the choice */ } };
  const stored = remembered();
  let theme = themes.includes(stored) ? stored : "auto";
  const apply = () => {
    if (theme === "auto") delete root.dataset.theme; else root.dataset.theme = theme;
    const button = document.getElementById("theme");
    if (button) button.textContent = `Theme: ${theme}`;
  };
  const copy = async (button) => {
    const text = button.parentElement.querySelector("pre").textContent;
    const before = button.textContent;
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(button.parentElement.querySelector("pre"));
      button.textContent = "Selected";
    }
    setTimeout(() => { button.textContent = before; }, 2000);
  };
  apply();
  document.addEventListener("DOMContentLoaded", () => {
    apply();
    const button = document.getElementById("theme");
    button.hidden = false;
    button.addEventListener("click", () => {
      theme = themes[(themes.indexOf(theme) + 1) % themes.length];
      remember(theme);
      apply();
    });
    for (const each of document.querySelectorAll("button.copy")) {
      each.hidden = false;
      each.addEventListener("click", () => copy(each));
    }
  });
})();
