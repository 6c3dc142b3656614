'use strict';

/** All files below what was dropped, as {file, path}. */
async function dropped(items) {
  // Now: when the event is over, the items are empty.
  const entries = [...items].map((item) => item.webkitGetAsEntry()).filter(Boolean);
  const found = [];
  for (const entry of entries) await walk(entry, found);
  return found;
}

async function walk(entry, found) {
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
    found.push({file, path: entry.fullPath.slice(1)});
    return;
  }
  const reader = entry.createReader();
  for (;;) {
    // It gives some at a time, and none at the end.
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!some.length) return;
    for (const inside of some) await walk(inside, found);
  }
}

/** All files chosen in an <input>, as {file, path}. */
function chosen(input) {
  return [...input.files].map((file) => ({file, path: file.webkitRelativePath || file.name}));
}
