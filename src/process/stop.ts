/** Ends something that runs. */
export type Stop = () => Promise<void>

/** Ends all, in the reverse order of their starting. */
export async function stopAll(stops: Stop[]): Promise<void> {
  for (let stop = stops.pop(); stop; stop = stops.pop()) await stop().catch(() => {})
}
