#!/usr/bin/env node
// The command `logbrook` of a clone, there before anything was built. An old Node must be able to read this.
var fs = require("node:fs")
var path = require("node:path")
var built = path.join(__dirname, "../bundle/bin.js")
if (fs.existsSync(built)) import(require("node:url").pathToFileURL(built).href)
else {
  console.error("error[E_NOT_BUILT]: this clone was not built yet")
  console.error("hint: npm run build, or npm start, which builds and starts the server")
  process.exitCode = 1
}
