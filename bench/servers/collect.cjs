// Collects all garbage when the benchmark asks for it. Needs `--expose-gc`.
process.on("SIGUSR2", () => {
  globalThis.gc()
  globalThis.gc()
})
