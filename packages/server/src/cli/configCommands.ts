import type { SettingValue } from "../config/settings.ts"
import { exitCodes } from "./CliError.ts"
import type { Arguments } from "./commandLine.ts"
import { configOf } from "./configFiles.ts"
import { bytesText, durationText, table, type Io } from "./Io.ts"

const valueText = (path: string, value: SettingValue): string => {
  if (value === null) return "-"
  if (typeof value === "object") return `${value.host}:${value.port}`
  if (typeof value === "number" && /Ms(Max|Min)?$/.test(path)) return durationText(value)
  if (typeof value === "number" && /Bytes(Max|Min)?$/.test(path)) return bytesText(value)
  return String(value)
}

export const show = async (args: Arguments, io: Io): Promise<number> => {
  const { settings } = await configOf(args, io)
  if (args.flag("json")) io.out(JSON.stringify(settings, null, 2))
  else {
    const rows = settings.map(({ path, value, origin }) => [path, valueText(path, value), origin])
    table(io, ["SETTING", "VALUE", "FROM"], rows)
  }
  return exitCodes.ok
}

export const check = async (args: Arguments, io: Io): Promise<number> => {
  const { settings } = await configOf(args, io)
  const own = settings.filter(({ origin }) => origin !== "default").length
  if (args.flag("json")) io.out(JSON.stringify({ ok: true, settings: settings.length, own }))
  else io.out(`ok: ${settings.length} settings, ${own} of them not the default`)
  return exitCodes.ok
}
