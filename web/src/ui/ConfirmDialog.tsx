import Alert from '@cloudscape-design/components/alert';
import FormField from '@cloudscape-design/components/form-field';
import Input from '@cloudscape-design/components/input';
import { type ReactNode, useState } from 'react';

import { t } from '../strings';
import { Dialog } from './Dialog';

/** Asks for a word before something is destroyed. */
export function ConfirmDialog({
  title,
  button,
  word,
  warning,
  act,
  close,
  ready = true,
  children,
}: {
  readonly title: string;
  readonly button: string;
  readonly word: string;
  readonly warning: string;
  readonly act: () => Promise<unknown>;
  readonly close: () => void;
  /** Whether what `children` ask for is given. */
  readonly ready?: boolean;
  readonly children?: ReactNode;
}) {
  const [typed, setTyped] = useState('');
  return (
    <Dialog title={title} button={button} ready={ready && typed === word} act={act} close={close}>
      <Alert type="warning">{warning}</Alert>
      {children}
      <FormField label={t.terminate.type(word)}>
        <Input
          autoFocus
          autoComplete={false}
          value={typed}
          placeholder={word}
          onChange={({ detail }) => setTyped(detail.value)}
        />
      </FormField>
    </Dialog>
  );
}
