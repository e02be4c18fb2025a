import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { isDeepStrictEqual } from "node:util"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { kafkaVersion, startKafka, type Kafka } from "../../bench/servers/kafka.ts"
import { stopAll } from "../../bench/servers/processes.ts"
import { LineProgram } from "../support/LineProgram.ts"
import { runCommand } from "../support/runCommand.ts"
import { ServerProcess } from "../support/server.ts"
import { cases, type Case, type Release } from "./tools/cases.ts"
import { normal } from "./tools/normal.ts"

/** What tools answer with this server is compared with what they answer with Apache Kafka. */
const oracle = "4.3.1"
const allCores = `0-${os.availableParallelism() - 1}`
const releases: ReadonlyArray<Release> = ["3.9.1", "4.3.1"]
const jvm = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx256m"]

/** Of what only looks, such as `--describe`. */
const looking = new Set(["--describe", "describe", "--list", "list", "--verify"])
const againMs = 200
const againMax = 5

const base64 = (text: string): string => Buffer.from(text).toString("base64")

interface Asked extends Pick<Case, "input" | "isAlone"> {
  readonly main: string
  readonly args: ReadonlyArray<string>
}

interface Ended {
  readonly code: number | null
  readonly output: string
}

describe("Kafka's command line", () => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), "logbrook-tools-"))
  let server: ServerProcess
  let kafka: Kafka

  beforeAll(async () => {
    if ((await kafkaVersion(oracle)) === undefined) throw new Error(`Apache Kafka ${oracle} cannot be had`)
    server = await ServerProcess.start()
    kafka = await startKafka(allCores, {
      version: oracle,
      properties: ["auto.create.topics.enable=false", "group.initial.rebalance.delay.ms=0"]
    })
  })
  afterAll(async () => {
    await kafka?.stop()
    await stopAll()
    fs.rmSync(directory, { recursive: true, force: true })
    await server?.dispose()
  })

  describe.each(releases)("of Kafka %s", (release) => {
    const jars = path.join(import.meta.dirname, ".cache/tools", release)
    let program: LineProgram

    beforeAll(async () => {
      const source = path.join(import.meta.dirname, "tools/Tools.java")
      program = await LineProgram.start({ command: "java", args: [...jvm, "-cp", `${jars}/*`, source] })
      expect(program.about!.get("release")).toBe(release)
    })
    afterAll(() => program?.kill())

    const outcome = async ({ main, args, input = "", isAlone }: Asked): Promise<readonly [number | null, string]> => {
      if (isAlone === true) {
        const { code, stdout, stderr } = await runCommand("java", [...jvm, "-cp", `${jars}/*`, main, ...args])
        return [code, stdout.toString("utf8") + stderr]
      }
      const answer = await program.ask("run", { main, args: base64(args.join("\0")), input: base64(input) })
      return [Number(answer.get("code")), Buffer.from(answer.get("output")!, "base64").toString("utf8")]
    }

    const run = async ({ main, args, ...rest }: Case, brokers: string): Promise<Ended> => {
      const named = "3.9.1" in args ? args[release] : args
      const isAddressed = named.some((arg) => arg.includes("BROKERS"))
      const [code, output] = await outcome({
        ...rest,
        main: typeof main === "string" ? main : main[release],
        args: [...(isAddressed ? [] : ["--bootstrap-server", "BROKERS"]), ...named].map((arg) =>
          arg.replace("BROKERS", brokers)
        )
      })
      return { code, output: normal(output, brokers) }
    }

    /** A node of Kafka learns what is so a little later than those who changed it: a look at it is taken again. */
    const runOfKafka = async (each: Case, ours: Ended): Promise<Ended> => {
      const brokers = `127.0.0.1:${kafka.kafkaPort}`
      let theirs = await run(each, brokers)
      const isLook = Array.isArray(each.args) && each.args.some((arg: string) => looking.has(arg))
      if (!isLook) return theirs
      for (let again = 0; again < againMax && !isDeepStrictEqual(ours, theirs); again++) {
        await sleep(againMs)
        theirs = await run(each, brokers)
      }
      return theirs
    }

    const own = cases(directory).filter(({ only = release }) => only === release)
    it.each(own.map((each) => [each.what, each] as const))("%s", async (_, each) => {
      const { differs, isCodeOnly } = each
      const ours = await run(each, server.kafka)
      const theirs = await runOfKafka(each, ours)
      if (differs !== undefined) {
        expect(ours).toEqual({ code: differs.code, output: expect.stringMatching(differs.output) })
        expect(ours).not.toEqual(theirs)
      } else if (isCodeOnly === true) expect(ours.code, ours.output).toBe(theirs.code)
      else expect(ours).toEqual(theirs)
    })
  })
})
