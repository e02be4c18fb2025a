import { fork, type ChildProcess } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { outputOf, runCommand } from "../support/runCommand.ts"
import type { DiskReport, DiskRequest } from "./diskProcess.ts"
import type { Fate } from "./VolatileDisk.ts"

const mib = 1024 * 1024
/** Ext4 writes back by itself after so many seconds. */
const mountOptions = "commit=5"
const unmountTries = 50

/**
 * An ext4 file system on a loop device, on a disk whose power can be cut: real kernel, real file system, real journal of
 * it; only the disk is ours. Needs root.
 */
export class PowerDisk {
  /** Where the file system is mounted. */
  readonly directory: string
  readonly #root: string
  readonly #file: string
  readonly #process: ChildProcess
  readonly #reports: Array<DiskReport> = []
  #loop: string | undefined
  #isMounted = false
  #wake: () => void = () => undefined

  private constructor(root: string, seed: number) {
    this.#root = root
    this.directory = path.join(root, "mounted")
    this.#file = path.join(root, "device")
    fs.mkdirSync(this.directory)
    fs.writeFileSync(this.#file, "")
    const args = [path.join(root, "image"), this.#file, String(seed)]
    this.#process = fork(path.join(import.meta.dirname, "diskProcess.ts"), args, { stdio: "inherit" })
    this.#process.on("message", (report: DiskReport) => {
      this.#reports.push(report)
      this.#wake()
    })
    this.#process.on("exit", () => this.#wake())
  }

  /** Made and mounted. */
  static async make(sizeMiB: number, seed: number): Promise<PowerDisk> {
    const root = fs.mkdtempSync(path.join(os.tmpdir(), "logbrook-power-"))
    const image = path.join(root, "image")
    fs.writeFileSync(image, "")
    fs.truncateSync(image, sizeMiB * mib)
    await outputOf("mkfs.ext4", ["-q", "-E", "lazy_itable_init=0,lazy_journal_init=0", image])
    const disk = new PowerDisk(root, seed)
    await disk.#reported("Serving")
    await disk.#mount()
    return disk
  }

  cutAfter(operations: number): void {
    this.#send({ _tag: "CutAfter", operations })
  }

  cutNow(): void {
    this.#send({ _tag: "CutNow" })
  }

  /** Resolves once the power is gone, with the writes that no flush had covered. */
  async cut(): Promise<number> {
    return (await this.#reported("Cut")).unflushed
  }

  /** After a cut: the file system as the disk has it. Says how many writes were lost, wholly or in part. */
  async powerOn(fate: Fate): Promise<number> {
    await this.#unmount()
    this.#send({ _tag: "PowerOn", fate })
    const { lost } = await this.#reported("PoweredOn")
    await this.#mount()
    return lost
  }

  /** The disk's bytes as a file, to be mounted and looked at. */
  async dump(file: string): Promise<void> {
    this.#send({ _tag: "Dump", file })
    await this.#reported("Dumped")
  }

  async dispose(): Promise<void> {
    await this.#unmount()
    await runCommand("umount", ["-l", this.#file])
    this.#process.kill("SIGKILL")
    fs.rmSync(this.#root, { recursive: true, force: true })
  }

  #send(request: DiskRequest): void {
    this.#process.send(request)
  }

  /** Takes the report out of those that have come. */
  async #reported<T extends DiskReport["_tag"]>(tag: T): Promise<Extract<DiskReport, { readonly _tag: T }>> {
    for (;;) {
      const at = this.#reports.findIndex(({ _tag }) => _tag === tag)
      if (at >= 0) return this.#reports.splice(at, 1)[0] as Extract<DiskReport, { readonly _tag: T }>
      if (!this.#process.connected) throw new Error("the disk's process has ended")
      await new Promise<void>((resolve) => (this.#wake = resolve))
    }
  }

  async #mount(): Promise<void> {
    this.#loop = (await outputOf("losetup", ["--show", "-f", this.#file])).toString("utf8").trim()
    await outputOf("mount", ["-t", "ext4", "-o", mountOptions, this.#loop, this.directory])
    this.#isMounted = true
  }

  async #unmount(): Promise<void> {
    for (let tries = 0; this.#isMounted; tries++) {
      const { code, stderr } = await runCommand("umount", [this.directory])
      this.#isMounted = code !== 0
      if (tries > unmountTries) throw new Error(`${this.directory} cannot be unmounted: ${stderr}`)
      // A process that was killed may not have let go yet.
      if (this.#isMounted) await sleep(50)
    }
    if (this.#loop === undefined) return
    await outputOf("losetup", ["-d", this.#loop])
    this.#loop = undefined
  }
}
