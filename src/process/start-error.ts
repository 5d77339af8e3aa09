/** It cannot start; the message tells people why and what to do. */
export class StartError extends Error {
  constructor(
    message: string,
    /** 1: failed, 2: the settings are wrong. */
    readonly exitCode: 1 | 2,
  ) {
    super(message)
  }
}
