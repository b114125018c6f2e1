import Alert from '@cloudscape-design/components/alert';
import Button from '@cloudscape-design/components/button';
import FormField from '@cloudscape-design/components/form-field';
import Input from '@cloudscape-design/components/input';
import { useState } from 'react';

import { t } from '../strings';
import { Dialog } from './Dialog';

/** A button that destroys something after its name was typed. */
export function Confirm({
  text,
  label,
  word,
  warning,
  act,
}: {
  readonly text: string;
  readonly label: string;
  readonly word: string;
  readonly warning: string;
  readonly act: () => Promise<unknown>;
}) {
  const [open, setOpen] = useState(false);
  const [typed, setTyped] = useState('');
  return (
    <>
      <Button
        ariaLabel={label}
        onClick={() => {
          setTyped('');
          setOpen(true);
        }}
      >
        {text}
      </Button>
      {open && (
        <Dialog
          title={label}
          button={text}
          ready={typed === word}
          act={act}
          close={() => setOpen(false)}
        >
          <Alert type="warning">{warning}</Alert>
          <FormField label={t.terminate.type(word)}>
            <Input
              autoFocus
              autoComplete={false}
              value={typed}
              onChange={({ detail }) => setTyped(detail.value)}
            />
          </FormField>
        </Dialog>
      )}
    </>
  );
}
