import { useSyncExternalStore } from 'react';

import { actions } from '../../api/actions';
import { ApiError } from '../../api/errors';
import { type Sending, UploadQueue } from './uploads';

/** The uploads of this tab; they go on whatever page is shown. */
export const uploadQueue = new UploadQueue(sessionStorage, async (workspace, folder) => {
  try {
    await actions.makeFolder(workspace, folder);
  } catch (error) {
    if (!(error instanceof ApiError && error.code === 'ALREADY_EXISTS')) throw error;
  }
});

window.addEventListener('pagehide', () => uploadQueue.remember());
window.addEventListener('beforeunload', (event) => {
  if (uploadQueue.isSending) event.preventDefault(); // the browser asks whether to leave
});

const subscribe = (read: () => void) => uploadQueue.subscribe(read);
const list = () => uploadQueue.list;

/** What is being uploaded, and what could not be. */
export function useUploads(): readonly Sending[] {
  return useSyncExternalStore(subscribe, list);
}
