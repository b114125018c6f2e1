import Button from '@cloudscape-design/components/button';
import ExpandableSection from '@cloudscape-design/components/expandable-section';
import ProgressBar from '@cloudscape-design/components/progress-bar';
import SpaceBetween from '@cloudscape-design/components/space-between';
import { useRef } from 'react';

import { ApiError } from '../../api/errors';
import { bytes } from '../../lib/files';
import { t } from '../../strings';
import { ErrorAlert } from '../../ui/ErrorAlert';
import { useNotify } from '../../ui/Notifications';
import { fits, type Sending } from './uploads';
import { uploadQueue, useUploads } from './useUploads';

const SHOWN = 5;

/** What is being uploaded, on every page; it covers a corner and moves nothing. */
export default function UploadTray() {
  const list = useUploads();
  const sent = list.reduce((sum, it) => sum + it.sent, 0);
  const size = list.reduce((sum, it) => sum + it.size, 0);
  // What needs a person comes first.
  const rows = list.toSorted((a, b) => Number(needsHelp(b)) - Number(needsHelp(a)));
  return (
    <section className="tray" aria-label={t.files.uploads}>
      <ExpandableSection
        variant="container"
        defaultExpanded
        headerText={t.files.uploading(list.length, bytes(sent), bytes(size))}
      >
        <SpaceBetween size="m">
          {rows.slice(0, SHOWN).map((it) => (
            <Row key={it.id} sending={it} />
          ))}
          {rows.length > SHOWN && t.andMore(rows.length - SHOWN)}
        </SpaceBetween>
      </ExpandableSection>
    </section>
  );
}

const needsHelp = (it: Sending): boolean => it.error !== null || it.file === null;

function Row({ sending: it }: { readonly sending: Sending }) {
  const taken = it.error instanceof ApiError && it.error.code === 'ALREADY_EXISTS';
  return (
    <SpaceBetween size="xs">
      <ProgressBar
        label={it.path}
        description={t.files.to(it.name)}
        status={it.error === null ? 'in-progress' : 'error'}
        resultText={t.files.notUploaded}
        value={it.size === 0 ? 0 : (100 * it.sent) / it.size}
        additionalInfo={
          it.file === null
            ? t.files.interrupted(bytes(it.sent), bytes(it.size))
            : t.files.sent(bytes(it.sent), bytes(it.size))
        }
      />
      {it.error !== null && <ErrorAlert error={it.error} />}
      <SpaceBetween direction="horizontal" size="xs">
        {it.file === null && <ChooseAgain sending={it} />}
        {it.error !== null && (
          <Button onClick={() => uploadQueue.again(it, taken)}>
            {taken ? t.files.replace : t.tryAgain}
          </Button>
        )}
        <Button variant="link" onClick={() => uploadQueue.cancel(it)}>
          {t.cancel}
        </Button>
      </SpaceBetween>
    </SpaceBetween>
  );
}

/** A page cannot keep a file over a reload: the person chooses it again, and it continues. */
function ChooseAgain({ sending }: { readonly sending: Sending }) {
  const { notify } = useNotify();
  const input = useRef<HTMLInputElement>(null);
  return (
    <>
      <input
        ref={input}
        type="file"
        hidden
        aria-label={t.files.chooseOf(sending.path)}
        onChange={({ currentTarget }) => {
          const [file] = currentTarget.files ?? [];
          currentTarget.value = '';
          if (file === undefined) return;
          if (fits(sending, file)) uploadQueue.resume(sending, file);
          else notify({ type: 'error', header: t.files.another(sending.path) });
        }}
      />
      <Button onClick={() => input.current?.click()}>{t.files.chooseAgain}</Button>
    </>
  );
}
