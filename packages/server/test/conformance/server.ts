import { serve } from "./kit.ts"

/** The server of all suites that do not need one with settings of its own. */
export const server = serve()
