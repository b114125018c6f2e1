import { lazy, Suspense, useEffect } from 'react';

import { t } from '../../strings';
import { useNotify } from '../../ui/Notifications';
import { uploadQueue, useUploads } from './useUploads';

// Most pages never show it.
const UploadTray = lazy(() => import('./UploadTray'));

/** The tray of the uploads, while there are some, and the notice once all are sent. */
export function Uploads() {
  const list = useUploads();
  const { notify } = useNotify();
  const under = list.filter((it) => it.file !== null && it.error === null).length;
  useEffect(() => {
    if (under > 0) return;
    const sent = uploadQueue.takeSent();
    if (sent > 0) notify({ type: 'success', header: t.files.uploaded(sent) });
  }, [under, notify]);
  if (list.length === 0) return null;
  return (
    <Suspense fallback={null}>
      <UploadTray />
    </Suspense>
  );
}
