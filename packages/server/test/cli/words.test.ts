import { expect, it } from "vitest"
import { counted } from "../../src/units.ts"
import { answering, run } from "./support.ts"

it("of one thing it speaks in the singular", () => {
  expect([0, 1, 2].map((count) => counted(count, "segment"))).toEqual(["0 segments", "1 segment", "2 segments"])
  expect(counted(1200, "event", "1,200")).toBe("1,200 events")
})

const check = async (...words: ReadonlyArray<string>): Promise<string> =>
  (await run(["config", "check", ...words])).out[0]!

it("config check tells how many settings are not at their defaults", async () => {
  expect(await check()).toMatch(/^ok: \d+ settings, all of them at their defaults$/)
  expect(await check("--kafka-port", "9")).toMatch(/^ok: \d+ settings, 1 of them is not at its default$/)
  const two = await check("--kafka-port", "9", "--http-port", "10")
  expect(two).toMatch(/^ok: \d+ settings, 2 of them are not at their defaults$/)
})

it("a data directory without a name is told what it should be", async () => {
  const { code, err } = await run(["config", "check", "--data-dir="])
  expect(code).toBe(2)
  expect(err.join("\n")).toContain('"" is not the path of a directory, such as ./data')
})

it("a value that begins with a dash gets a hint how it can be given", async () => {
  const option = await run(["streams", "create", "s", "--filter", "-dash"])
  expect(option.code).toBe(2)
  expect(option.err.join("\n")).toContain('if "-dash" is the value: --filter=-dash')
  const forgotten = await run(["streams", "create", "s", "--filter"])
  expect(forgotten.err.join("\n")).toContain("--filter FILTER")
  const name = await run(["streams", "describe", "-dash"])
  expect(name.err.join("\n")).toContain("a name that begins with a dash goes behind --")
})

it("what the hints say works", async () => {
  const server = await answering({})
  await run(["streams", "create", "--filter=-dash", "--url", server.url, "--json", "--", "-dash"])
  server.close()
  expect(server.bodies).toMatchObject([{ name: "-dash", filters: ["-dash"] }])
})
