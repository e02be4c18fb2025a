import type { ApiError } from "./Api.ts"

/** Thrown by handlers; becomes the body `{code, message}` under the status of its code. */
export class ApiFailure extends Error {
  readonly _tag = "ApiFailure"
  readonly error: ApiError
  constructor(code: ApiError["code"], message: string) {
    super(message)
    this.name = "ApiFailure"
    this.error = { code, message } as ApiError
  }
}
