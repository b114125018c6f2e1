import { api, data } from '../api/client';

/**
 * Keep a setting of the GUI, in this tab and in the daemon. The GUI has another address after
 * each start of the daemon, so this browser alone would forget it.
 */
export function keepSetting(name: string, value: string): void {
  localStorage.setItem(name, value);
  const body = { values: { [name]: value } };
  // If the daemon cannot keep it, it lasts until the daemon's next start.
  api.PUT('/api/v1/daemon/gui', { body }).catch(() => undefined);
}

/** Get the settings that the daemon keeps, and apply those that differ. */
export async function restoreSettings(): Promise<void> {
  const kept = await data(api.GET('/api/v1/daemon/gui')).catch(() => undefined);
  if (kept === undefined) return;
  for (const [name, value] of Object.entries(kept.values ?? {})) localStorage.setItem(name, value);
  window.dispatchEvent(new StorageEvent('storage')); // as if another tab had chosen
}
