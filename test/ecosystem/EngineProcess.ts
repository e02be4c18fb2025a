import { spawn, type ChildProcess } from "node:child_process"
import { createHash } from "node:crypto"
import { once } from "node:events"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { outputOf } from "../support/runCommand.ts"
import { waitUntil } from "../support/waitUntil.ts"

/** What engines are installed in, a directory each. */
export const cache = path.join(import.meta.dirname, ".cache")
const installMsMax = 600_000
const stopMsMax = 30_000
const shownChars = 6000

// Two cores for several processes: the second compiler and the parallel collector cost more than they save.
const jvm = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx256m"]
const logLevel = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"

/** The jars of a `pom.xml`, from Maven Central, and the classes of the programs beside it. */
const installJava = async (sources: string, files: ReadonlyArray<string>, jars: string): Promise<void> => {
  const goal = ["dependency:copy-dependencies", "-DincludeScope=runtime", `-DoutputDirectory=${jars}`]
  await outputOf("mvn", ["-q", "-B", "-f", path.join(sources, "pom.xml"), ...goal], { timeoutMs: installMsMax })
  const programs = files.filter((file) => file.endsWith(".java")).map((file) => path.join(sources, file))
  const classes = ["-cp", path.join(jars, "*"), "-d", path.join(jars, "classes")]
  if (programs.length > 0) await outputOf("javac", [...classes, ...programs], { timeoutMs: installMsMax })
}

/** What is in the `.tar.gz` of Maven Central that `archive.txt` names. */
const installArchive = async (sources: string, directory: string): Promise<void> => {
  const artifact = fs.readFileSync(path.join(sources, "archive.txt"), "utf8").trim()
  const goal = ["dependency:copy", `-Dartifact=${artifact}`, `-DoutputDirectory=${directory}`]
  await outputOf("mvn", ["-q", "-B", ...goal], { timeoutMs: installMsMax })
  for (const archive of fs.readdirSync(directory).map((file) => path.join(directory, file))) {
    await outputOf("tar", ["-xzf", archive, "-C", directory], { timeoutMs: installMsMax })
    fs.rmSync(archive)
  }
}

/** A Python of its own with the packages of `requirements.txt`, from PyPI. */
const installPython = async (sources: string, directory: string): Promise<void> => {
  await outputOf("python3", ["-m", "venv", directory], { timeoutMs: installMsMax })
  const install = ["install", "--quiet", "--disable-pip-version-check", "-r", path.join(sources, "requirements.txt")]
  await outputOf(path.join(directory, "bin/pip"), install, { timeoutMs: installMsMax })
}

/** Gets an engine by what its directory asks for, `pom.xml`, `archive.txt` or `requirements.txt`: once, and again when one of the files there has changed. */
export const prepare = async (engine: string): Promise<void> => {
  const sources = path.join(import.meta.dirname, engine)
  const files = fs.readdirSync(sources).toSorted()
  const hash = createHash("sha256")
  for (const file of files) hash.update(fs.readFileSync(path.join(sources, file)))
  const version = hash.digest("hex")
  const directory = path.join(cache, engine)
  const done = path.join(directory, ".done")
  if (fs.existsSync(done) && fs.readFileSync(done, "utf8") === version) return
  fs.rmSync(directory, { recursive: true, force: true })
  if (files.includes("pom.xml")) await installJava(sources, files, directory)
  if (files.includes("archive.txt")) await installArchive(sources, directory)
  if (files.includes("requirements.txt")) await installPython(sources, directory)
  fs.writeFileSync(done, version)
}

/** Those that nobody has stopped, whether they still run or have been killed. */
const unstopped = new Set<EngineProcess>()

/** A program that runs until it is stopped. What it says is kept in a file, whose end errors show. */
export class EngineProcess {
  readonly #name: string
  readonly #child: ChildProcess
  readonly #logFile: string

  /** `user`: whose it is, where it may not be root's. */
  constructor(name: string, command: string, args: ReadonlyArray<string>, user: { uid?: number; gid?: number } = {}) {
    this.#name = name
    this.#logFile = path.join(fs.mkdtempSync(path.join(os.tmpdir(), "logbrook-engine-")), "log")
    const log = fs.openSync(this.#logFile, "a")
    this.#child = spawn(command, args, { stdio: ["ignore", log, log], ...user })
    fs.closeSync(log)
    // A program that cannot be started has ended.
    this.#child.on("error", (error) => fs.appendFileSync(this.#logFile, `${error.message}\n`))
    unstopped.add(this)
  }

  /** A class of an engine's jars or of its programs, which are there: see `prepare`. */
  static java(engine: string, main: string, args: ReadonlyArray<string>, options: ReadonlyArray<string> = []) {
    const classPath = ["classes", "*"].map((place) => path.join(cache, engine, place)).join(":")
    return new EngineProcess(main, "java", [...jvm, logLevel, ...options, "-cp", classPath, main, ...args])
  }

  /** An engine that is a jar with all that it needs beside it, which is there: see `prepare`. */
  static jar(engine: string, jar: string, options: ReadonlyArray<string>) {
    return new EngineProcess(jar, "java", [...jvm, ...options, "-jar", path.join(cache, engine, jar)])
  }

  /** A program of an engine's directory, with its packages, which are there: see `prepare`. */
  static python(engine: string, program: string, args: ReadonlyArray<string>) {
    const file = path.join(import.meta.dirname, engine, program)
    return new EngineProcess(program, path.join(cache, engine, "bin/python"), [file, ...args])
  }

  /** Also those that a failure has left behind, before anybody knew them: for the end of every test. */
  static async stopAll(): Promise<void> {
    await Promise.all(Array.from(unstopped, (each) => each.stop()))
  }

  get isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null
  }

  said(): string {
    return fs.readFileSync(this.#logFile, "utf8")
  }

  /** Until it has said this, or `check` is true; rejects with the end of what it has said when it ends before, or after the time. */
  async until(what: string, timeoutMs: number, check: () => boolean | Promise<boolean>): Promise<void> {
    await waitUntil(what, timeoutMs, async () => {
      if (!this.isRunning) throw new Error(`${this.#name} has ended`)
      return check()
    }).catch((error: Error) => {
      throw new Error(`${error.message}\n${this.said().slice(-shownChars)}`)
    })
  }

  /** By SIGKILL. */
  async kill(): Promise<void> {
    await this.#end("SIGKILL")
  }

  /** By SIGTERM, and by SIGKILL when it has not ended after half a minute; what it has said is gone then. */
  async stop(): Promise<void> {
    const forced = setTimeout(() => this.#child.kill("SIGKILL"), stopMsMax)
    await this.#end("SIGTERM")
    clearTimeout(forced)
    fs.rmSync(path.dirname(this.#logFile), { recursive: true, force: true })
    unstopped.delete(this)
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    if (!this.isRunning) return
    const exited = once(this.#child, "exit")
    this.#child.kill(signal)
    await exited
  }
}
