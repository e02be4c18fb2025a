import * as fs from "node:fs"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import { bytesText, durationText } from "../packages/server/src/cli/Io.ts"
import { sizeBytes } from "../packages/server/src/config/values.ts"
import { listenerProtocols, listenerSettings } from "../packages/server/src/config/listenerSettings.ts"
import { settings, type Setting, type SettingValue } from "../packages/server/src/config/settings.ts"

const root = path.join(path.dirname(fileURLToPath(import.meta.url)), "..")
const page = path.join(root, "docs/configuration.md")
const limitsSource = path.join(root, "packages/core/src/Limits.ts")

const begin = "<!-- settings: written by scripts/config-docs.ts -->"
const end = "<!-- end of settings -->"

/** The sentence above each row of `Limits`, which is its only description. */
const limitDescriptions = (source: string): ReadonlyMap<string, string> =>
  new Map(
    Array.from(source.matchAll(/\/\*\* (.+) \*\/\n {2}readonly (\w+):/g), ([, text, name]) => [`limits.${name}`, text!])
  )

const valueText = (path: string, value: SettingValue): string => {
  if (value === null) return "none"
  if (typeof value === "number" && /Ms(Max|Min)?$/.test(path)) return durationText(value)
  if (typeof value === "number" && /Bytes(Max|Min)?$/.test(path)) {
    if (value % 1_000_000 === 0) return `${value / 1_000_000} MB`
    const text = bytesText(value)
    return sizeBytes(text) === value ? text : `${value} B`
  }
  return String(value)
}

const row = ({ path, env, flag, byDefault, expects, documentation }: Setting, description: string): string => {
  const names = flag === undefined ? `\`${env}\`` : `\`--${flag}\` \`${env}\``
  const cells = [`\`${path}\``, valueText(path, byDefault), expects, documentation || description, names]
  return `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`
}

/** Those of listeners that have names. */
const listenerTable = (): string => {
  const rows = listenerSettings.map(({ name, byDefault, expects, documentation, protocols }) => {
    const of = protocols === listenerProtocols ? "all" : protocols.map((each) => `\`${each}\``).join(", ")
    const cells = [`\`${name}\``, valueText(name, byDefault), expects, documentation, of]
    return `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`
  })
  return `| Setting | Default | Takes | Meaning | Protocols |\n|---|---|---|---|---|\n${rows.join("\n")}`
}

/** The three tables. Throws for a setting without description. */
const tables = (): string => {
  const limits = limitDescriptions(fs.readFileSync(limitsSource, "utf8"))
  const head = "| Setting | Default | Takes | Meaning | Flag, variable |\n|---|---|---|---|---|"
  const rows = (isLimit: boolean): string =>
    settings
      .filter((setting) => setting.path.startsWith("limits.") === isLimit)
      .map((setting) => {
        const description = limits.get(setting.path) ?? ""
        if (setting.documentation === "" && description === "") throw new Error(`${setting.path} has no description`)
        return row(setting, description)
      })
      .join("\n")
  return `${begin}\n## Settings\n${head}\n${rows(false)}\n\n## Settings of a listener\n${listenerTable()}\n\n## Limits\n${head}\n${rows(true)}\n${end}`
}

/** The page as it is, and as it should be. */
export const configurationPage = (): { readonly found: string; readonly wanted: string } => {
  const found = fs.readFileSync(page, "utf8")
  const [before, rest] = found.split(begin)
  const after = rest?.split(end)[1]
  if (before === undefined || after === undefined) throw new Error(`${page} has no place for the tables`)
  return { found, wanted: before + tables() + after }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) fs.writeFileSync(page, configurationPage().wanted)
