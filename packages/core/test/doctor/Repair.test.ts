import { readFileSync, readdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import type { AnyDefinition } from "@logbrook/core/actor/Definition"
import { diagnose } from "@logbrook/core/doctor/Doctor"
import { repair } from "@logbrook/core/doctor/Repair"
import { ShardActor } from "@logbrook/core/shard/ShardActor"
import { expect, it } from "vitest"
import { History } from "../settle/History.ts"
import { temporaryDirectory } from "../support/temporary.ts"
import { makeCounter, ToyPartition } from "../support/toys.ts"

const pause = (): void => undefined

it("raises the epoch of what was cut also where states have another shape than when they were hashed", async () => {
  const history = await History.open(temporaryDirectory(), 400_000)
  for (let i = 0; i < 40; i++) {
    history.count(1)
    await history.flush()
  }
  history.records(1, [{ key: null, value: "to be damaged", timestampMs: 1 }])
  await history.flush()
  await history.close()
  const { directory } = history
  const file = join(
    directory,
    readdirSync(directory).find((name) => /^seg.*mdb$/.test(name))!
  )
  const bytes = readFileSync(file)
  for (let at = bytes.indexOf("to be damaged"); at >= 0; at = bytes.indexOf("to be damaged", at)) bytes[at] = 0x5a
  writeFileSync(file, bytes)
  const counter: AnyDefinition = makeCounter()
  const reshaped = { ...counter, save: (state: unknown) => ({ ...(counter.save(state) as object), more: 0 }) }
  const definitions = [ShardActor, reshaped, ToyPartition]
  const diagnosis = await diagnose({ directory, definitions, pause })
  expect(new Set(diagnosis.findings.map(({ kind }) => kind))).toEqual(new Set(["frame", "state"]))
  const target = join(temporaryDirectory(), "repaired")
  const repaired = await repair({ diagnosis, target, definitions, nowMs: Date.now, pause })
  expect(repaired).toMatchObject({ epochRefused: undefined, lostFromSeq: diagnosis.firstBadSeq })
  expect((await diagnose({ directory: target, definitions, pause })).epoch).toBe(diagnosis.epoch + 1000)
})
