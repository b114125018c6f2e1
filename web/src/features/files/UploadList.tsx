import Button from '@cloudscape-design/components/button';
import Container from '@cloudscape-design/components/container';
import ProgressBar from '@cloudscape-design/components/progress-bar';
import SpaceBetween from '@cloudscape-design/components/space-between';

import { ApiError } from '../../api/errors';
import { bytes } from '../../lib/files';
import type { Uploads } from './useUploads';
import { t } from '../../strings';
import { ErrorAlert } from '../../ui/ErrorAlert';

/** What is being uploaded, and what could not be. */
export function UploadList({ uploads }: { readonly uploads: Uploads }) {
  if (uploads.list.length === 0) return null;
  return (
    <Container>
      <SpaceBetween size="m">
        {uploads.list.map((it) => {
          const taken = it.error instanceof ApiError && it.error.code === 'ALREADY_EXISTS';
          return (
            <SpaceBetween key={it.id} size="xs">
              <ProgressBar
                label={it.path}
                status={it.error === null ? 'in-progress' : 'error'}
                resultText={t.files.notUploaded}
                value={it.file.size === 0 ? 0 : (100 * it.sent) / it.file.size}
                additionalInfo={t.files.sent(bytes(it.sent), bytes(it.file.size))}
              />
              {it.error !== null && <ErrorAlert error={it.error} />}
              <SpaceBetween direction="horizontal" size="xs">
                {it.error !== null && (
                  <Button onClick={() => uploads.again(it, taken)}>
                    {taken ? t.files.replace : t.tryAgain}
                  </Button>
                )}
                <Button variant="link" onClick={() => uploads.cancel(it)}>
                  {t.cancel}
                </Button>
              </SpaceBetween>
            </SpaceBetween>
          );
        })}
      </SpaceBetween>
    </Container>
  );
}
