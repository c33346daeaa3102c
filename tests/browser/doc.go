// Package browser tests the page of `systemgemma serve` in a real browser: headless Chromium, driven by chromedp. It is a module of
// its own, so that the program and its library need nothing of that.
//
// Tests are skipped where no Chromium is found, unless SYSTEMGEMMA_WANT_BROWSER is set: then that is a failure.
// SYSTEMGEMMA_SCREENSHOTS names a folder to write the pictures of docs/images to. SYSTEMGEMMA_AXE names axe.min.js of npm's axe-core,
// which then checks every view as well.
package browser
