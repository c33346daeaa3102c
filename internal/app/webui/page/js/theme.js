// The theme, set before anything is painted: this is the one file that is no module.
(() => {
  let choice = "auto";
  try {
    choice = localStorage.getItem("systemgemma.theme") || "auto";
  } catch {
    // A browser that forbids storage follows the system.
  }
  if (choice === "light" || choice === "dark") document.documentElement.dataset.theme = choice;
})();
