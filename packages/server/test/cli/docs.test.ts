import { defaultLimits } from "@logbrook/core/Limits"
import { expect, it } from "vitest"
import { cliPage } from "../../../../scripts/cli-docs.ts"
import { definitions } from "../../src/Broker.ts"
import { commands } from "../../src/cli/commands.ts"
import { settings } from "../../src/config/settings.ts"

it("docs/cli.md tells every command as it is (node --conditions=source scripts/cli-docs.ts writes it)", () => {
  const { found, wanted } = cliPage()
  expect(wanted).toContain("### journal diff ACTOR SEQ|TIME SEQ|TIME")
  expect(found).toBe(wanted)
})

it("journal tail's --kind tells every kind of actor", () => {
  const { options } = commands.find(({ name }) => name === "journal tail")!
  const told = /kind: (.+)$/.exec(options.find(({ name }) => name === "kind")!.help)![1]!.split(", ")
  expect(told.toSorted()).toEqual(
    definitions(defaultLimits)
      .map(({ kind }) => kind)
      .toSorted()
  )
})

it("the server's commands take a flag for every setting that has one", () => {
  const flags = settings.flatMap(({ flag }) => flag ?? [])
  for (const name of ["serve", "config show", "config check"]) {
    const taken = commands.find((command) => command.name === name)!.options.map((option) => option.name)
    expect(flags.filter((flag) => !taken.includes(flag))).toEqual([])
  }
})
