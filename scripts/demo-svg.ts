/** Runs the demonstration and draws what it printed, line by line as it came, as `docs/demo.svg`. */
import { spawn } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import * as readline from "node:readline"
import { stripVTControlCharacters } from "node:util"

const root = path.join(import.meta.dirname, "..")
const columns = 132
const lineHeight = 17
const fontSize = 13
/** The demonstration waits for a session to expire; nobody else needs to. */
const speed = 2.5
const restMs = 6000

interface Line {
  readonly atMs: number
  readonly text: string
  readonly isTitle: boolean
}

const record = async (): Promise<ReadonlyArray<Line>> => {
  const demo = spawn(process.execPath, [path.join(root, "examples/demo.ts")], { stdio: ["ignore", "pipe", "ignore"] })
  const startedMs = performance.now()
  const lines: Array<Line> = []
  for await (const raw of readline.createInterface({ input: demo.stdout })) {
    const text = stripVTControlCharacters(raw).replaceAll("\t", "  ").trimEnd()
    lines.push({
      atMs: (performance.now() - startedMs) / speed,
      text: text.slice(0, columns),
      isTitle: raw.startsWith("\u001b[1m")
    })
  }
  return lines
}

const escapeXml = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;")

const draw = (lines: ReadonlyArray<Line>): string => {
  const totalMs = lines.at(-1)!.atMs + restMs
  const styles: Array<string> = []
  const texts = lines.map(({ atMs, text, isTitle }, i) => {
    const percent = ((atMs / totalMs) * 100).toFixed(2)
    styles.push(`@keyframes l${i}{0%,${percent}%{opacity:0}${(Number(percent) + 0.1).toFixed(2)}%,100%{opacity:1}}`)
    styles.push(`.l${i}{animation:l${i} ${(totalMs / 1000).toFixed(1)}s linear infinite}`)
    const y = 28 + i * lineHeight
    return `<text class="l${i}${isTitle ? " t" : ""}" x="16" y="${y}" xml:space="preserve">${escapeXml(text)}</text>`
  })
  const width = columns * fontSize * 0.602 + 32
  const height = 28 + lines.length * lineHeight
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width.toFixed(0)} ${height}" role="img">`,
    `<style>text{font:${fontSize}px ui-monospace,Menlo,Consolas,monospace;fill:#c9d1d9}.t{fill:#7ee787;font-weight:bold}`,
    `@media (prefers-reduced-motion:reduce){text{animation:none!important}}${styles.join("")}</style>`,
    `<rect width="100%" height="100%" rx="8" fill="#0d1117"/>`,
    ...texts,
    "</svg>\n"
  ].join("\n")
}

fs.writeFileSync(path.join(root, "docs/demo.svg"), draw(await record()))
