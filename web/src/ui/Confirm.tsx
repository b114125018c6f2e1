import Button from '@cloudscape-design/components/button';
import { useState } from 'react';

import { ConfirmDialog } from './ConfirmDialog';

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
  return (
    <>
      <Button ariaLabel={label} onClick={() => setOpen(true)}>
        {text}
      </Button>
      {open && (
        <ConfirmDialog
          title={label}
          button={text}
          word={word}
          warning={warning}
          act={act}
          close={() => setOpen(false)}
        />
      )}
    </>
  );
}
