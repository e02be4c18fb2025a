import * as fs from "node:fs"
import * as path from "node:path"
import { expect, it } from "vitest"

interface Locked {
  readonly version?: string
  readonly link?: boolean
  readonly integrity?: string
}

it("package-lock.json has a digest for everything that is installed", () => {
  const file = path.join(import.meta.dirname, "../package-lock.json")
  const { packages } = JSON.parse(fs.readFileSync(file, "utf8")) as { readonly packages: Record<string, Locked> }
  const installed = Object.entries(packages).filter(
    ([name, { link }]) => name.includes("node_modules/") && link !== true
  )
  expect(installed.length).toBeGreaterThan(100)
  expect(installed.filter(([, { integrity }]) => !/^sha(512|1)-/.test(integrity ?? "")).map(([name]) => name)).toEqual(
    []
  )
})
