import * as fs from "node:fs"
import * as path from "node:path"
import { transformSync } from "esbuild"
import type { Mutant } from "./Mutant.ts"

const sourceOf = (root: string, { file }: Mutant): string => fs.readFileSync(path.join(root, "packages", file), "utf8")

const planted = (source: string, { from, to }: Mutant): string => source.replace(from, () => to)

/** What is wrong with a fault itself: its text is not there once, it changes nothing, it is no TypeScript, a test is missing. */
export const whatIsWrong = (root: string, mutant: Mutant): string | undefined => {
  const { file, from, to, tests } = mutant
  if (!fs.existsSync(path.join(root, "packages", file))) return "its file is not there"
  const source = sourceOf(root, mutant)
  const times = source.split(from).length - 1
  if (times !== 1) return times === 0 ? "its text is not there" : `its text is there ${times} times`
  if (from === to) return "it changes nothing"
  const missing = tests.find((test) => !fs.existsSync(path.join(root, test)))
  if (missing !== undefined || tests.length === 0) return `${missing ?? "any test"} is not there`
  try {
    transformSync(planted(source, mutant), { loader: "ts" })
  } catch (error) {
    return `it is no TypeScript: ${(error as Error).message}`
  }
  return undefined
}

/** Changes a copy of the checkout; returns what puts it back. */
export const plant = (copy: string, mutant: Mutant): (() => void) => {
  const file = path.join(copy, "packages", mutant.file)
  const source = sourceOf(copy, mutant)
  fs.writeFileSync(file, planted(source, mutant))
  return () => fs.writeFileSync(file, source)
}
