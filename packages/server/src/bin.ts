#!/usr/bin/env node
import * as module from "node:module"
// Static imports are read before this runs: an old Node must be able to read all of them.
var found = process.versions.node.split(".").map(Number)
if (found[0]! < 22 || (found[0] === 22 && found[1]! < 19)) {
  console.error("logbrook needs Node.js 22.19 or newer; this is " + process.versions.node)
  process.exit(1)
}
// Before anything uses the pool: LMDB's reads and writes wait for its threads.
if (process.env["UV_THREADPOOL_SIZE"] === undefined) process.env["UV_THREADPOOL_SIZE"] = "8"
// Compiled code is kept in the system's temporary directory: a start takes a fifth less CPU.
if (module.enableCompileCache !== undefined) module.enableCompileCache()
import("./cli/main.ts").then(function (cli) {
  return cli.runMain()
})
