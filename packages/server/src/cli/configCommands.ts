import * as Effect from "effect/Effect"
import type { ConfigFileUnreadable, ConfigInvalid } from "../config/Config.ts"
import type { EffectiveSetting } from "../config/Config.ts"
import type { SettingValue } from "../config/settings.ts"
import { heapOrigin } from "../config/values.ts"
import { type CliError, exitCodes, usageError } from "./CliError.ts"
import { requestJson } from "./client.ts"
import type { Arguments, Run } from "./commandLine.ts"
import { configOf } from "./configFiles.ts"
import { bytesText, counted, durationText, note, table, type Io, outJson } from "./Io.ts"
import { urlOf } from "./optionValues.ts"

const valueText = (path: string, value: SettingValue): string => {
  if (value === null) return "-"
  if (typeof value === "object") return `${value.host}:${value.port}`
  if (typeof value === "number" && /Ms(Max|Min)?$/.test(path)) return durationText(value)
  if (typeof value === "number" && /Bytes(Max|Min)?$/.test(path)) return bytesText(value)
  return String(value)
}

interface Served {
  readonly since: string
  readonly settings: ReadonlyArray<EffectiveSetting>
}

/** The settings of a running server with `--url`; else those that a server would run with that is started here and now. */
const settingsOf = (
  args: Arguments,
  io: Io
): Effect.Effect<ReadonlyArray<EffectiveSetting>, CliError | ConfigFileUnreadable | ConfigInvalid> =>
  Effect.gen(function* () {
    if (args.text("url") === undefined) return (yield* configOf(args, io)).settings
    const given = [...args.values.keys()].find((name) => name !== "url" && name !== "json")
    if (given !== undefined) {
      const error = usageError(`--url and --${given} exclude each other`, "a running server has its settings")
      return yield* Effect.fail(error)
    }
    const url = yield* urlOf(args, io)
    const { since, settings } = yield* requestJson<Served>(url, "/api/v1/config", ["since", "settings"])
    note(io, `the server at ${url} has run with these settings since ${since}`)
    return settings
  })

export const show: Run = (args, io) =>
  Effect.map(settingsOf(args, io), (settings) => {
    if (args.flag("json")) outJson(io, settings, 2)
    else {
      const rows = settings.map(({ path, value, origin }) => [path, valueText(path, value), origin])
      table(io, ["SETTING", "VALUE", "FROM"], rows)
    }
    return exitCodes.ok
  })

const ownText = (own: number): string => {
  if (own === 0) return "all of them at their defaults"
  return own === 1 ? "1 of them is not at its default" : `${own} of them are not at their defaults`
}

export const check: Run = (args, io) =>
  Effect.map(configOf(args, io), ({ settings }) => {
    const own = settings.filter(({ origin }) => origin !== "default" && origin !== heapOrigin).length
    if (args.flag("json")) outJson(io, { ok: true, settings: settings.length, own })
    else io.out(`ok: ${counted(settings.length, "setting")}, ${ownText(own)}`)
    return exitCodes.ok
  })
