import Box from '@cloudscape-design/components/box';
import Button from '@cloudscape-design/components/button';
import Modal from '@cloudscape-design/components/modal';
import SpaceBetween from '@cloudscape-design/components/space-between';
import { useQuery } from '@tanstack/react-query';
import { useEffect, useRef } from 'react';

import { queries } from '../../api/queries';
import { contentAt, imageType, previewKind, textOf } from '../../lib/files';
import { cellsOf } from './notebook';
import { t } from '../../strings';
import { Loaded } from '../../ui/Loaded';
import { NotebookCells } from './NotebookCells';

/** The beginning of a text, an image, or a notebook; nothing of it is run. */
export function FilePreview({
  workspace,
  path,
  close,
}: {
  readonly workspace: string;
  readonly path: string;
  readonly close: () => void;
}) {
  const kind = previewKind(path);
  const query = useQuery(queries.fileStart(workspace, path, kind !== 'text'));
  const title = path.split('/').at(-1) ?? path;
  return (
    <Modal
      visible
      size="large"
      header={title}
      closeAriaLabel={t.close}
      onDismiss={close}
      footer={
        <Box float="right">
          <SpaceBetween direction="horizontal" size="xs">
            <Button iconName="download" href={contentAt(workspace, path)}>
              {t.files.download}
            </Button>
            <Button variant="primary" onClick={close}>
              {t.close}
            </Button>
          </SpaceBetween>
        </Box>
      }
    >
      <Loaded query={query} what={title}>
        {({ content, whole }) => {
          if (kind === 'image' && whole) return <Picture bytes={content} title={title} />;
          const text = textOf(content);
          if (text === null || kind === 'image') return <Box>{t.files.noPreview}</Box>;
          const cells = kind === 'notebook' && whole ? cellsOf(text) : null;
          if (cells !== null) return <NotebookCells cells={cells} />;
          return (
            <>
              <pre className="mono log" tabIndex={0} aria-label={title}>
                {text}
              </pre>
              {!whole && <Box variant="small">{t.files.beginning}</Box>}
            </>
          );
        }}
      </Loaded>
    </Modal>
  );
}

/** An image whose bytes are here; as an image, no script in it can run. */
function Picture({
  bytes,
  title,
}: {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly title: string;
}) {
  const image = useRef<HTMLImageElement>(null);
  useEffect(() => {
    const made = URL.createObjectURL(new Blob([bytes], { type: imageType(title) }));
    if (image.current !== null) image.current.src = made;
    return () => URL.revokeObjectURL(made);
  }, [bytes, title]);
  return <img ref={image} className="picture" alt={title} />;
}
