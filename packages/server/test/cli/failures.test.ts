import * as Effect from "effect/Effect"
import { JournalError } from "@logbrook/core/journal/JournalError"
import { describe, expect, it } from "vitest"
import { CliError, exitCodes } from "../../src/cli/CliError.ts"
import { cliErrorOf, type CommandFailure, withJournalHints } from "../../src/cli/failures.ts"
import { ConfigFileUnreadable, ConfigInvalid } from "../../src/config/Config.ts"
import { ListenFailed } from "../../src/net/listen.ts"
import { DataDirUnusable } from "../../src/Server.ts"
import { JournalQueryRefused } from "../../src/tools/journalTools.ts"
import { now } from "../support/now.ts"
import { run } from "./support.ts"

const taken = {
  protocol: "kafka",
  name: "kafka",
  at: { host: "127.0.0.1", port: 9092 },
  code: "EADDRINUSE",
  message: "address in use"
} as const
const takenPath = { ...taken, protocol: "mqtt", name: "local", at: { path: "/run/a.sock", mode: 0o660 } } as const

const failures: ReadonlyArray<readonly [failure: CommandFailure, code: string, exitCode: number, text: RegExp]> = [
  [new CliError(exitCodes.unreachable, "E_UNREACHABLE", "nobody answers"), "E_UNREACHABLE", 5, /^nobody answers$/],
  [new ConfigFileUnreadable({ file: "a.yaml", message: "ENOENT" }), "E_CONFIG_FILE", 2, /^cannot read a.yaml: ENOENT$/],
  [new ConfigInvalid({ problems: [] }), "E_CONFIG", 2, /^the configuration has 0 problems$/],
  [new DataDirUnusable({ directory: "d", message: "EROFS" }), "E_DATA_DIR", 1, /^d cannot be used: EROFS$/],
  [new JournalError("UnknownFormat", "it is none"), "E_JOURNAL_UNKNOWN_FORMAT", 1, /^it is none$/],
  [new JournalQueryRefused({ reason: "InvalidType", message: "none" }), "E_INVALID_TYPE", 2, /^none$/],
  [new JournalQueryRefused({ reason: "Expired", message: "gone" }), "E_EXPIRED", 3, /^gone$/],
  [new ListenFailed(taken), "E_PORT_TAKEN", 1, /^Kafka cannot listen on 127.0.0.1 port 9092: the port is taken$/],
  [new ListenFailed(takenPath), "E_PORT_TAKEN", 1, /^MQTT cannot listen on \/run\/a.sock: the path is taken$/],
  [new ListenFailed({ ...taken, code: "EACCES" }), "E_LISTEN", 1, /^Kafka cannot .* 9092: address in use$/]
]

const hintOf = (reason: JournalError["reason"]) =>
  now(Effect.flip(withJournalHints({ Locked: "stop it" })(Effect.fail(new JournalError(reason, "no"))))).hint

describe("a command's failure", () => {
  it.each(failures)("%s", (failure, code, exitCode, text) => {
    const error = cliErrorOf(failure)
    expect([error.code, error.exitCode]).toEqual([code, exitCode])
    expect(error.message).toMatch(text)
  })

  it("of a journal gets the hint that the command has for it", () => {
    expect([hintOf("Locked"), hintOf("Gap")]).toEqual(["stop it", undefined])
  })

  it("of a configuration has a line for every problem, with the place where it stands", async () => {
    const { code, err } = await run(["config", "check", "--mqtt-port", "x", "--http-port", "70000"])
    expect(code).toBe(2)
    expect(err).toEqual([
      "error[E_CONFIG]: the configuration has 2 problems",
      '  mqtt.port: "x" is not a port, 0 to 65535, or none [--mqtt-port]',
      '  http.port: "70000" is not a port, 0 to 65535, or none [--http-port]',
      "hint: logbrook config show tells each value and where it comes from"
    ])
  })

  it("of a configuration file that is named and not there is told", async () => {
    const { code, err } = await run(["config", "check", "--config", "/nowhere/logbrook.yaml"])
    expect([code, err[0]]).toEqual([2, expect.stringMatching(/^error\[E_CONFIG_FILE\]: cannot read \/nowhere/)])
  })
})
