"""What is true of AWS without anybody's account: zones, types, images, prices."""
