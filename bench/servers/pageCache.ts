import { readdirSync, statSync } from "node:fs"
import { join } from "node:path"
import { run } from "./processes.ts"

const dropMsMax = 60_000

/** Has the kernel forget what it keeps of the files in a directory, as a boot does: `dd`'s way to POSIX_FADV_DONTNEED. */
export const dropFromPageCache = async (directory: string): Promise<void> => {
  for (const name of readdirSync(directory)) {
    const file = join(directory, name)
    if (!statSync(file).isFile()) continue
    const args = [`of=${file}`, "oflag=nocache", "conv=notrunc,fdatasync", "count=0", "status=none"]
    if ((await run("dd", args, dropMsMax)) !== 0) throw new Error(`dd could not drop ${file} from the page cache`)
  }
}
