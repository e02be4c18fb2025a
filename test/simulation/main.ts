import { makePlan } from "./Plan.ts"
import { Simulation } from "./Simulation.ts"
const from = Number(process.argv[2] ?? 1),
  n = Number(process.argv[3] ?? 1),
  tr = process.argv[4] === "t"
const t0 = performance.now()
let bad = 0
for (let s = from; s < from + n; s++) {
  const o = await new Simulation(makePlan(s), {}, tr).run()
  if (tr) console.log(o.trace.join("\n"))
  if (o.violation || n < 20)
    console.log(
      s,
      o.hash,
      o.violation ?? "ok",
      "sim",
      Math.round(o.simulatedMs),
      "steps",
      o.steps,
      "lives",
      o.lives,
      "ev",
      o.events,
      "msg",
      o.messages
    )
  if (o.violation) bad++
}
console.log(bad, "bad of", n, Math.round(performance.now() - t0), "ms")
