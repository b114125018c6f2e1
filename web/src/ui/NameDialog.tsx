import FormField from '@cloudscape-design/components/form-field';
import Input from '@cloudscape-design/components/input';
import { useState } from 'react';

import { Dialog } from './Dialog';

/** Asks for one name and does something with it. */
export function NameDialog({
  title,
  label,
  what,
  button,
  value = '',
  act,
  close,
}: {
  readonly title: string;
  readonly label: string;
  readonly what?: string;
  readonly button: string;
  readonly value?: string;
  readonly act: (word: string) => Promise<unknown>;
  readonly close: () => void;
}) {
  const [word, setWord] = useState(value);
  const ready = word.trim() !== '' && word !== value;
  return (
    <Dialog title={title} button={button} close={close} ready={ready} act={() => act(word)}>
      <FormField label={label} description={what}>
        <Input
          autoFocus
          autoComplete={false}
          value={word}
          onChange={({ detail }) => setWord(detail.value)}
        />
      </FormField>
    </Dialog>
  );
}
