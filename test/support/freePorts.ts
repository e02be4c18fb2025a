import { randomInt } from "node:crypto"
import { once } from "node:events"
import * as fs from "node:fs"
import * as net from "node:net"
import * as os from "node:os"
import * as path from "node:path"
import { FileLock } from "@logbrook/core/FileLock"

export const host = "127.0.0.1"

/** Node's `fetch` refuses 10,080. */
const portMin = 10_081

/** A lock for each port that a process of the tests was given. */
const claimsDirectory = path.join(os.tmpdir(), `logbrook-test-ports-${os.userInfo().uid}`)

const claims = new Set<FileLock>()
process.once("exit", () => {
  for (const claim of claims) claim.release()
})

const isFree = async (port: number): Promise<boolean> => {
  const server = net.createServer().listen(port, host)
  try {
    await once(server, "listening")
    return true
  } catch {
    return false
  } finally {
    await new Promise((resolve) => void server.close(resolve))
  }
}

/**
 * Whether the port is this process's until it ends: several processes start servers at the same time, and a server listens a while
 * after its ports were chosen. False: something listens there, or the port was given before.
 */
export const claimPort = async (port: number, directory = claimsDirectory): Promise<boolean> => {
  const claim = new FileLock(path.join(directory, String(port)))
  if (!claim.take().isOurs) return false
  if (await isFree(port)) {
    claims.add(claim)
    return true
  }
  claim.release()
  return false
}

/**
 * As many free ports as asked for, which no other process of the tests is given, below those that systems give to outgoing
 * connections: a server that is down for a moment must find its port again.
 */
export const freePorts = async (count: number): Promise<ReadonlyArray<number>> => {
  fs.mkdirSync(claimsDirectory, { recursive: true })
  const found: Array<number> = []
  while (found.length < count) {
    const port = randomInt(portMin, 32_768)
    if (await claimPort(port)) found.push(port)
  }
  return found
}
