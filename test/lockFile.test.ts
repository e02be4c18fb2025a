import * as fs from "node:fs"
import * as path from "node:path"
import { expect, it } from "vitest"

interface Locked {
  readonly version?: string
  readonly link?: boolean
  readonly integrity?: string
  readonly hasInstallScript?: boolean
}

const read = (name: string): unknown => JSON.parse(fs.readFileSync(path.join(import.meta.dirname, "..", name), "utf8"))
const { packages } = read("package-lock.json") as { readonly packages: Record<string, Locked> }

it("package-lock.json has a digest for everything that is installed", () => {
  const installed = Object.entries(packages).filter(
    ([name, { link }]) => name.includes("node_modules/") && link !== true
  )
  expect(installed.length).toBeGreaterThan(100)
  expect(installed.filter(([, { integrity }]) => !/^sha(512|1)-/.test(integrity ?? "")).map(([name]) => name)).toEqual(
    []
  )
})

it("no install script of a package is run, and npm has nothing to warn about", () => {
  const { allowScripts } = read("package.json") as { readonly allowScripts: Record<string, boolean> }
  const scripted = Object.entries(packages).filter(([, { hasInstallScript }]) => hasInstallScript === true)
  const names = scripted.map(([place]) => place.slice(place.lastIndexOf("node_modules/") + "node_modules/".length))
  expect(names.length).toBeGreaterThan(0)
  for (const name of names) expect([name, allowScripts[name]]).toEqual([name, false])
})
