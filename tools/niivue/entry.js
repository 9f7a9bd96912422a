export { Niivue, NVImage } from "@/niivue/index";
