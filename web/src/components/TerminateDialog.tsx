import Alert from '@cloudscape-design/components/alert';
import Box from '@cloudscape-design/components/box';
import Button from '@cloudscape-design/components/button';
import Checkbox from '@cloudscape-design/components/checkbox';
import FormField from '@cloudscape-design/components/form-field';
import Input from '@cloudscape-design/components/input';
import Modal from '@cloudscape-design/components/modal';
import SpaceBetween from '@cloudscape-design/components/space-between';
import { useState } from 'react';

import { actions } from '../api/actions';
import type { Instance } from '../api/client';
import { t } from '../strings';
import { useNotify } from './Notifications';

const SHOWN = 10; // names; of more it says how many

/** Asks for the name before data dies. */
export function TerminateDialog({
  instances,
  close,
  done,
}: {
  readonly instances: readonly Instance[];
  readonly close: () => void;
  readonly done: () => void;
}) {
  const { notify, failed } = useNotify();
  const [typed, setTyped] = useState('');
  const [backup, setBackup] = useState(false);
  const [busy, setBusy] = useState(false);
  const names = instances.map((it) => it.name);
  const word = names.length === 1 ? (names[0] ?? '') : t.terminate.count(names.length);
  const terminate = async () => {
    setBusy(true);
    const results = await Promise.allSettled(names.map((name) => actions.terminate(name, backup)));
    const gone = names.filter((_, index) => results[index]?.status === 'fulfilled');
    results.forEach((result, index) => {
      if (result.status === 'rejected') {
        failed(t.doing('terminate', [names[index] ?? '']), result.reason as Error);
      }
    });
    if (gone.length > 0) notify({ type: 'success', header: t.asked('terminate', gone) });
    close();
    done();
  };
  return (
    <Modal
      visible
      header={t.terminate.title(names)}
      closeAriaLabel={t.close}
      onDismiss={close}
      footer={
        <Box float="right">
          <SpaceBetween direction="horizontal" size="xs">
            <Button variant="link" onClick={close}>
              {t.cancel}
            </Button>
            <Button
              variant="primary"
              loading={busy}
              disabled={typed !== word}
              onClick={() => void terminate()}
            >
              {t.verbs.terminate}
            </Button>
          </SpaceBetween>
        </Box>
      }
    >
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (typed === word) void terminate();
        }}
      >
        <SpaceBetween size="m">
          <Alert type="warning">{t.terminate.warning}</Alert>
          {names.length > 1 && (
            <ul>
              {names.slice(0, SHOWN).map((name) => (
                <li key={name}>{name}</li>
              ))}
              {names.length > SHOWN && <li>{t.andMore(names.length - SHOWN)}</li>}
            </ul>
          )}
          <Checkbox checked={backup} onChange={({ detail }) => setBackup(detail.checked)}>
            {t.terminate.backup}
          </Checkbox>
          <FormField label={t.terminate.type(word)}>
            <Input
              autoFocus
              autoComplete={false}
              value={typed}
              placeholder={word}
              onChange={({ detail }) => setTyped(detail.value)}
            />
          </FormField>
        </SpaceBetween>
      </form>
    </Modal>
  );
}
