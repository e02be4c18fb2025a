import * as fs from "node:fs"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import type { Command } from "../packages/server/src/cli/commandLine.ts"
import { optionText } from "../packages/server/src/cli/help.ts"
import { commands } from "../packages/server/src/cli/commands.ts"

const page = path.join(path.dirname(fileURLToPath(import.meta.url)), "../docs/cli.md")
const begin = "<!-- commands: written by scripts/cli-docs.ts -->"
const end = "<!-- end of commands -->"

const cell = (text: string): string => text.replaceAll("|", "\\|")

const section = ({ name, positionals, summary, description, options, examples }: Command): string => {
  const rows = options.map((option) => `| \`${cell(optionText(option))}\` | ${cell(option.help)} |`)
  const text = `${summary[0]!.toUpperCase()}${summary.slice(1)}.${description === undefined ? "" : ` ${description}`}`
  const shown = examples === undefined ? [] : ["", "```sh", ...examples, "```"]
  return [`### ${[name, ...positionals].join(" ")}`, text, "", "| Option | |", "|---|---|", ...rows, ...shown].join(
    "\n"
  )
}

/** The page as it is, and as it should be. */
export const cliPage = (): { readonly found: string; readonly wanted: string } => {
  const found = fs.readFileSync(page, "utf8")
  const [before, rest] = found.split(begin)
  const after = rest?.split(end)[1]
  if (before === undefined || after === undefined) throw new Error(`${page} has no place for the commands`)
  return { found, wanted: `${before}${begin}\n${commands.map(section).join("\n\n")}\n${end}${after}` }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) fs.writeFileSync(page, cliPage().wanted)
