import { spawn } from "node:child_process"

export interface Finished {
  /** Null if it was killed, by the timeout too. */
  readonly code: number | null
  readonly stdout: Buffer
  readonly stderr: string
}

export interface CommandOptions {
  readonly input?: string | Uint8Array
  readonly timeoutMs?: number
}

const timeoutMsDefault = 120_000

/** Runs a program to its end, without a shell. Rejects if it cannot be started. */
export const runCommand = (
  command: string,
  args: ReadonlyArray<string>,
  { input = "", timeoutMs = timeoutMsDefault }: CommandOptions = {}
): Promise<Finished> =>
  new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: "pipe", timeout: timeoutMs, killSignal: "SIGKILL" })
    const out: Array<Buffer> = []
    const err: Array<Buffer> = []
    child.stdout.on("data", (chunk: Buffer) => out.push(chunk))
    child.stderr.on("data", (chunk: Buffer) => err.push(chunk))
    // The program may end without having read all of its input.
    child.stdin.on("error", () => undefined)
    child.stdin.end(input)
    child.on("error", reject)
    child.on("close", (code) =>
      resolve({ code, stdout: Buffer.concat(out), stderr: Buffer.concat(err).toString("utf8") })
    )
  })

/** Standard output. Rejects with what the program wrote unless it exits with 0. */
export const outputOf = async (
  command: string,
  args: ReadonlyArray<string>,
  options?: CommandOptions
): Promise<Buffer> => {
  const { code, stdout, stderr } = await runCommand(command, args, options)
  if (code === 0) return stdout
  throw new Error(
    `${command} ${args.join(" ")} exited with ${code}\n${stderr}\n${stdout.toString("utf8").slice(-2000)}`
  )
}
